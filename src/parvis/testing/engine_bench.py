"""A server on the bench: how the suite of engines makes jobs for it, listens to it, and lays hands on it."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from parvis.core.tokens import TokenCount
from parvis.domain.catalog.model import Model
from parvis.domain.fleet.profile import PROFILES
from parvis.domain.fleet.replica import Replica
from parvis.domain.metering.records import Operation
from parvis.flows.hold import Hold
from parvis.flows.ports import Answer, Delivery, Engine, Flow, Job
from parvis.flows.request import InferenceRequest
from parvis.wire.chat import EXTRAS, given, read_chat
from parvis.wire.completion import read_completion
from parvis.wire.embedding import read_embedding
from parvis.wire.rerank import read_rerank_v1

Json = dict[str, Any]
FREE_S_MAX = 5.0
"""The promise is one second; the rest is for a slow machine."""
POLL_S = 0.005
INJECTED_BYTES_MAX = 1_024
"""What tools may add to a prompt, as the inference listener reckons."""
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Words:
    """What to say to this server so that it does what a promise is about. A fake takes orders, a model is asked."""

    short: str = "Say hello."
    long: str = "Write a long story about the sea."
    merged: str = "Say hello."
    """An answer that comes in one piece, where that can be ordered."""
    begin: str = "Once upon a time, there was a"
    """For a completion to go on with."""
    endless: Mapping[str, Any] = field(default_factory=dict)
    """The protocol's fields that keep a model from ending its answer."""
    call: str = "What is the weather in Paris?"
    form: str = "Describe a person as JSON."
    reason: str = ""
    """Five tokens of reasoning, then seven of text; empty where nobody reasons."""
    unsaid: str = ""
    """The same, with usage that has no reasoning in it."""
    think: str = ""
    """The same, with the reasoning in the text."""
    thinks: tuple[tuple[str, bool, int], ...] = ()
    """The same in other ways; whether the template opens the reasoning; how many of the twelve tokens are reasoning."""
    lies: tuple[str, ...] = ()
    """Each makes it answer seven tokens and claim to have counted what cannot be."""
    runaway: str = ""
    """Far more tokens than were asked for."""
    status: str = ""
    """A template that makes the server answer with an HTTP status; empty where nobody can order that."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A running server, behind the engine that is tried."""

    replica: Replica
    model: Model
    words: Words = field(default_factory=Words)
    running: Callable[[], int]
    """How many requests the server computes now."""
    kill: Callable[[], None]
    """End it at once."""
    count: Callable[[str], int] | None = None
    """The tokens of a text, where that is known without asking."""

    def chat(self, text: str, *, output_tokens_max: int = 24, **fields: Any) -> Job:
        """A chat of one message, or of `messages`; other fields are the protocol's."""
        encoded = self._encoded({"messages": [{"role": "user", "content": text}], **fields})
        size = len(encoded) + (INJECTED_BYTES_MAX if fields.get("tools") else 0)
        return self._job(Operation.CHAT, read_chat(encoded), fields, output_tokens_max, size)

    def completion(self, prompt: str | list[str], *, output_tokens_max: int = 24, **fields: Any) -> Job:
        """A completion of one prompt or more."""
        encoded = self._encoded({"prompt": prompt, **fields})
        body = read_completion(encoded)
        return self._job(Operation.COMPLETION, body, fields, output_tokens_max, len(encoded), len(body.prompts()))

    def embedding(self, texts: str | list[str], **fields: Any) -> Job:
        """Embeddings of one text or more."""
        encoded = self._encoded({"input": texts, **fields})
        body = read_embedding(encoded)
        return self._job(Operation.EMBEDDING, body, fields, 0, len(encoded), len(body.inputs()))

    def ranking(self, query: str, documents: list[str], **fields: Any) -> Job:
        """Documents in the order of their relevance to a query."""
        encoded = self._encoded({"query": query, "documents": documents, **fields})
        body = read_rerank_v1(encoded)
        return self._job(Operation.RERANK, body, fields, 0, body.read_bytes, len(documents) + 1)

    def lies_whole(self, lie: str) -> bool:
        """Whether it makes a whole answer lie too: what lies only while it runs needs a stream of the engine's."""
        return PROFILES[self.replica.kind].always_stream or not any(word in lie for word in ("falling", "running"))

    @property
    def has_choices(self) -> bool:
        """Whether it takes `n`."""
        return "n" not in PROFILES[self.replica.kind].lacks

    async def free(self) -> None:
        """Return when the server computes nothing. Raises AssertionError when that takes too long."""
        deadline_s = time.monotonic() + FREE_S_MAX
        while running := await asyncio.to_thread(self.running):
            assert time.monotonic() < deadline_s, f"the server still computes {running} requests"
            await asyncio.sleep(POLL_S)

    def _encoded(self, fields: Json) -> bytes:
        return msgspec.json.encode({"model": self.model.id, **fields})

    def _job(
        self, operation: Operation, body: Any, fields: Json, output_tokens_max: int, input_bytes: int, prompts: int = 1
    ) -> Job:
        request = InferenceRequest(
            request_id=f"req_{next(_numbers):026d}",
            operation=operation,
            credential=None,
            model=self.model.id,
            body=body,
            stream=bool(fields.get("stream")),
            include_usage=bool(fields.get("stream_options")),
            choices=fields.get("n", 1),
            output_tokens_max=output_tokens_max,
            input_bytes=input_bytes,
            extras=given(body, EXTRAS) if operation is Operation.CHAT else (),
            prompts=prompts,
        )
        return Job(request, self.model, self.replica, output_tokens_max, PROFILES[self.replica.kind])


class Client:
    """A `Sink` that keeps everything, and what was counted whenever something came.

    With `pause_s` it has enough for a while after each time that something came.
    """

    def __init__(self, pause_s: float = 0.0) -> None:
        self._pause_s = pause_s
        self.data = b""
        self.left = False
        self.flow: Flow | None = None
        self._attached = asyncio.Event()
        self.answer: Answer | None = None
        self.counts: list[tuple[int, TokenCount]] = []
        """Bytes handed over up to an event, and the tokens that are counted for them."""

    def attach(self, flow: Flow) -> None:
        self.flow = flow
        self._attached.set()

    def events(self, data: bytes) -> None:
        self.data += data
        self._count()
        if self._pause_s and self.flow is not None:
            self.flow.pause()
            asyncio.get_running_loop().call_later(self._pause_s, self.flow.resume)

    def flushed(self) -> bool:
        return True

    async def drained(self) -> None:
        """All has been taken."""

    def chosen(self, model_id: str, why: str) -> None: ...

    def admitted(self, hold: Hold) -> None:
        """Nobody here has limits."""

    async def listen(self, engine: Engine, job: Job) -> "Heard":
        """Ask, and hear the answer to its end."""
        self.answer = await engine.start(job, self)
        delivery = await self.answer.done()
        self._count()
        return Heard(self.data, delivery, self.counts)

    async def hears(self, count: int) -> None:
        """Return when so many events have come. Raises AssertionError when that takes too long."""
        deadline_s = time.monotonic() + FREE_S_MAX * 4
        while self.data.count(b"\n\n") < count:
            assert time.monotonic() < deadline_s, f"only {self.data!r} came"
            await asyncio.sleep(POLL_S)

    async def is_attached(self) -> Flow:
        """The flow, as soon as there is one."""
        await self._attached.wait()
        assert self.flow is not None
        return self.flow

    def _count(self) -> None:
        if self.answer is not None:
            self.counts.append((len(self.data), self.answer.delivery.tokens))


@dataclass(frozen=True, slots=True)
class Heard:
    """A whole answer."""

    data: bytes
    delivery: Delivery
    counts: list[tuple[int, TokenCount]]

    @property
    def body(self) -> Json:
        """Of an answer that was not streamed."""
        body: Json = json.loads(self.delivery.body)
        return body

    @property
    def chunks(self) -> list[Json]:
        """Of a stream, in order."""
        return chunks(self.data)

    @property
    def usage_chunk(self) -> Json:
        """What a stream ends with that was asked for usage."""
        [chunk] = chunks(self.delivery.body)
        return chunk

    def text(self, index: int = 0) -> str:
        """All visible text of a streamed choice."""
        return text_of(self.chunks, index)


def chunks(data: bytes) -> list[Json]:
    """The JSON of whole events. Raises AssertionError when there is anything else."""
    *events, rest = data.split(b"\n\n")
    assert rest == b"", rest
    assert all(event.startswith(b"data: {") for event in events), events
    return [json.loads(event.removeprefix(b"data: ")) for event in events]


def choices(told: list[Json], index: int = 0) -> list[Json]:
    """The parts of one choice, in order."""
    return [choice for chunk in told for choice in chunk["choices"] if choice["index"] == index]


def text_of(told: list[Json], index: int = 0) -> str:
    """The visible text of one choice, of a chat or a completion."""
    parts = choices(told, index)
    return "".join(part["delta"].get("content") or "" if "delta" in part else part["text"] for part in parts)


async def ask(engine: Engine, job: Job) -> Heard:
    """Ask as somebody who takes everything."""
    return await Client().listen(engine, job)


def elsewhere(job: Job, address: str) -> Job:
    """The same job for a server at another address."""
    return msgspec.structs.replace(job, replica=replace(job.replica, address=address))
