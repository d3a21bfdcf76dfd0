"""The batch: requests that are computed together, a token of each in every step."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from http import HTTPStatus
from itertools import count
from typing import Any

import numpy as np
import openvino
import openvino_genai

from parvis.adapters.openvino.asked import Asked
from parvis.adapters.openvino.errors import BatchBroke, Gone, Refused
from parvis.adapters.openvino.plan import plan
from parvis.adapters.openvino.prompts import Prompts
from parvis.adapters.openvino.reader import Prompt, Reader
from parvis.adapters.openvino.vocabulary import Writer

TURNS_BETWEEN_STEPS = 4
"""Of the event loop: a request that has come is read and added within so many."""
BREAKS_MAX = 3
BREAKS_WITHIN_S = 60.0
"""So many failed steps within that time are no accident."""
WAITING_PER_SEAT = 2
"""Answers that wait for a step with room; more are sent away, to be asked elsewhere or later."""
GRAMMARS_KEPT = 500
"""Different ones, after which the process gives way to another as soon as nothing runs."""
GRAMMARS_MAX = 1_000
"""Of all: some 1.5 GB. Where something always runs, no new one is taken any more."""
_FINISH = {
    openvino_genai.GenerationFinishReason.STOP: "stop",
    openvino_genai.GenerationFinishReason.LENGTH: "length",
}
_log = logging.getLogger("parvis.openvino")


@dataclass(slots=True)
class Part:
    """What a step has brought of one answer."""

    index: int
    """Which of the request's answers."""
    text: str
    tokens: int
    """Generated so far."""
    logprobs: Sequence[tuple[int, float]]
    """Of the tokens of this part: which, and the logarithm of its probability."""
    finish: str
    """`stop` or `length`, with the last part."""


@dataclass(slots=True, eq=False)
class Stream:
    """One answer under way."""

    index: int
    handle: Any
    writer: Writer
    request: "Request"
    sequence: list[int]
    """Its prompt, and what was generated."""
    tokens: int = 0
    done: bool = False

    def cancel(self) -> None:
        """Nothing more is computed for it from the next step on. Harmless when it is done."""
        if not self.done:
            self.done = True
            self.handle.cancel()

    def deliver(self) -> None:
        """Hand on what the last step has brought."""
        if not self.handle.can_read():
            if self.handle.get_status() == openvino_genai.GenerationStatus.IGNORED:
                self.request.fail(BatchBroke(suspect=True))  # its prompt does not fit the cache
            return
        (output,) = self.handle.read().values()
        self.tokens += len(output.generated_ids)
        self.sequence += output.generated_ids
        finish = _FINISH.get(output.finish_reason, "")
        text = self.writer.write(output.generated_ids, last=bool(finish))
        if self.writer.stopped:
            self.cancel()
            finish = "stop"
        self.done = self.done or bool(finish)
        self.request.give(Part(self.index, text, self.tokens, self._logprobs(output), finish))

    def _logprobs(self, output: Any) -> Sequence[tuple[int, float]]:
        if not self.request.logprobs:
            return ()
        return tuple(zip(output.generated_ids, output.generated_log_probs, strict=True))


class Request:
    """Answers that were asked for together. Read parts until each has ended; `cancel` it whatever happens."""

    def __init__(self, *, logprobs: bool, suspect: bool) -> None:
        self.streams: list[Stream] = []
        self.logprobs = logprobs
        self.over = False
        """Nobody reads on."""
        self.suspect = suspect
        """Brings a grammar: the one known thing that can break a step."""
        self._inbox: asyncio.Queue[Part | Gone | BatchBroke | Refused] = asyncio.Queue()

    async def read(self) -> Part:
        """The next part of any answer. Raises BatchBroke, Gone; before the first one Refused."""
        part = await self._inbox.get()
        if isinstance(part, Part):
            return part
        raise part

    def give(self, part: Part) -> None:
        """A part that has come."""
        self._inbox.put_nowait(part)

    def fail(self, why: Gone | BatchBroke | Refused) -> None:
        """Nothing more comes."""
        self.cancel()
        self._inbox.put_nowait(why)

    def cancel(self) -> None:
        """Nothing more is computed for it."""
        self.over = True
        for stream in self.streams:
            stream.cancel()


class Batch:
    """OpenVINO's pipeline, stepped from an event loop: while a step runs nothing else does, between two all may."""

    def __init__(self, pipeline: Any, prompts: Prompts, *, seats: int) -> None:
        self._prompts = prompts
        self._pipeline = pipeline
        self._seats = seats
        self._streams: list[Stream] = []
        self._reader = Reader(self._queue)
        self._numbers = count(1)
        self._work = asyncio.Event()
        self._breaks: deque[float] = deque(maxlen=BREAKS_MAX)
        self._grammars: set[bytes] = set()
        """Digests of those that were computed with: the pipeline keeps each for ever, a megabyte or more."""
        self.prompt_tokens = 0
        """Of all prompts that were begun, those found in the cache among them."""
        self.output_tokens = 0
        """Generated since the start."""

    @property
    def running(self) -> int:
        """Answers that the next step goes on with."""
        return min(self._seats, self._here)

    @property
    def waiting(self) -> int:
        """Answers that no step has room for."""
        return max(0, self._here - self._seats)

    @property
    def cache_used(self) -> float:
        """Of the memory for prompts and answers, 0 to 1."""
        return float(self._pipeline.get_metrics().cache_usage) / 100

    def begin(self, prompts: Sequence[Sequence[int]], asked: Asked, *, logprobs: bool = False) -> Request:
        """Begin the answers to each prompt. Raises Refused when there is no room in the context or in the queue."""
        if self._here and self._here + len(prompts) * asked.answers > self._seats * (1 + WAITING_PER_SEAT):
            raise Refused(
                "The engine is busy: too many requests wait. Try again shortly.",
                code="engine_overloaded",
                status=HTTPStatus.SERVICE_UNAVAILABLE,
            )
        rooms = [self._room(prompt, asked) for prompt in prompts]
        if asked.grammar is not None:
            self._meet(asked.grammar)
        request = Request(logprobs=logprobs, suspect=asked.grammar is not None)
        try:
            for number, (prompt, room) in enumerate(zip(prompts, rooms, strict=True)):
                self.prompt_tokens += len(prompt)
                self._take(request, self._salted(prompt, asked), asked, number, room)
        except Refused:
            request.cancel()
            raise
        finally:
            self._work.set()
        return request

    async def run(self) -> None:
        """Step while there is work. Ends, or raises RuntimeError, when only a new process can mend the pipeline."""
        while True:
            if not self._here:
                if len(self._grammars) > GRAMMARS_KEPT:
                    _log.warning("the schemas that are kept fill the memory")
                    return
                self._work.clear()
                await self._work.wait()
            self._step()
            for _ in range(TURNS_BETWEEN_STEPS):
                await asyncio.sleep(0)

    @property
    def _here(self) -> int:
        return self._writing + self._reader.waiting

    @property
    def _writing(self) -> int:
        return sum(not stream.done for stream in self._streams)

    def _meet(self, grammar: str) -> None:
        """Raises Refused for a new one where too many are kept: as soon as nothing runs, a new process begins."""
        digest = blake2b(grammar.encode(), digest_size=16).digest()
        if len(self._grammars) >= GRAMMARS_MAX and digest not in self._grammars:
            raise Refused(
                "The engine has met too many different schemas. Try again shortly.",
                code="engine_overloaded",
                status=HTTPStatus.SERVICE_UNAVAILABLE,
            )
        self._grammars.add(digest)

    def _room(self, prompt: Sequence[int], asked: Asked) -> int:
        """The tokens that its answer may have."""
        room = self._prompts.context_tokens - len(prompt)
        if room < 1:
            raise self._prompts.too_long(len(prompt))
        return min(asked.max_tokens or room, room)

    def _salted(self, prompt: Sequence[int], asked: Asked) -> list[int]:
        """Nobody finds another's prompts in the cache: the first token tells them apart, and counts as itself."""
        return [prompt[0] + asked.salt * len(self._prompts.vocabulary), *prompt[1:]]

    def _take(self, request: Request, ids: Sequence[int], asked: Asked, number: int, room: int) -> None:
        """Begin the answers to the prompt of this number, or have it read before. Raises Refused."""
        if self._reader.is_short(ids, self._writing):
            self._add(request, ids, asked, number, room)
            return

        def then() -> None:
            try:
                self._add(request, ids, asked, number, room)
            except Refused as refused:
                request.fail(refused)

        fail = partial(request.fail, BatchBroke(suspect=True))
        self._reader.wait(Prompt(ids, asked.answers, then, lambda: request.over, fail))

    def _add(self, request: Request, ids: Sequence[int], asked: Asked, number: int, room: int) -> None:
        for answer in range(asked.answers):
            try:
                handle = self._queue(ids, plan(asked, answer, room, logprobs=request.logprobs))
            except RuntimeError:
                raise Refused("OpenVINO does not take this request. Simplify its settings or its schema.") from None
            index = number * asked.answers + answer
            stream = Stream(index, handle, Writer(self._prompts.vocabulary, asked.stops), request, list(ids))
            request.streams.append(stream)
            self._streams.append(stream)

    def _queue(self, ids: Sequence[int], settings: openvino_genai.GenerationConfig) -> Any:
        tensor = openvino.Tensor(np.array([ids], dtype=np.int64))
        return self._pipeline.add_request(next(self._numbers), tensor, settings)

    def _step(self) -> None:
        try:
            self._reader.before_step(self._writing)
            self._pipeline.step()
        except RuntimeError:
            self._give_up()
            return
        self._reader.after_step()
        for stream in self._streams:
            if not stream.done:
                self._deliver(stream)
        self._streams = [stream for stream in self._streams if not stream.done]
        if not self._here and self._pipeline.has_non_finished_requests():
            self._pipeline.step()  # what was cancelled leaves

    def _deliver(self, stream: Stream) -> None:
        before = stream.tokens
        stream.deliver()
        self.output_tokens += stream.tokens - before
        if stream.done or not before:
            self._reader.learn(stream.sequence)

    def _give_up(self) -> None:
        """One request can fail a step, and then every step fails until all are gone."""
        self._reader.drop_piece()
        lost, self._streams = [stream for stream in self._streams if not stream.done], []
        _log.error("a step of the batch failed", extra={"answers_lost": len(lost)})
        requests = {stream.request: None for stream in lost}
        suspects = any(request.suspect for request in requests)
        for request in requests:
            request.fail(BatchBroke(suspect=request.suspect if suspects else False))
        self._breaks.append(time.monotonic())
        if len(self._breaks) == BREAKS_MAX and self._breaks[-1] - self._breaks[0] < BREAKS_WITHIN_S:
            raise RuntimeError("steps fail again and again")
        self._pipeline.step()  # raises where even an empty batch fails
