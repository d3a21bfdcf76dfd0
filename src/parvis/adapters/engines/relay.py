"""One streamed answer on its way from an engine to a client: whole events only, counted, changed where they must be.

No coroutine runs for an event. `start` waits for the first event, `done` for the end.
"""

import asyncio
from typing import Protocol

import msgspec

from parvis.adapters.engines.counting import Counts
from parvis.adapters.engines.own_count import (
    Count,
    Said,
    ceiling_of,
    count_all,
    count_thoughts,
    prompt_estimate,
    with_thoughts_apart,
)
from parvis.adapters.engines.refusals import broken, refusal
from parvis.adapters.engines.thinking import Thinking, begun, thinks
from parvis.adapters.engines.upstream import Stalled, UpstreamConnection
from parvis.core.errors import EngineUnavailable, Failure
from parvis.core.tokens import TokenCount
from parvis.domain.catalog.model import Capability
from parvis.domain.metering.records import Operation, Outcome
from parvis.flows.ports import Delivery, Job, Sink
from parvis.wire.chunk_shapes import Chunk, ChunkChoice, Delta, read_chunk, read_odd_chunk
from parvis.wire.chunks import Splice, usage_event
from parvis.wire.plain_event import PlainEvent, learn
from parvis.wire.usage import Usage

ERROR_BYTES_MAX = 65_536
EVENT_BYTES_MAX = 4 << 20
_KINDS = {
    Operation.CHAT: ("chatcmpl-", "chat.completion.chunk"),
    Operation.COMPLETION: ("cmpl-", "text_completion"),
}


class Outlet(Protocol):
    """Where whole events go: to the client as they are, through a translation, or into one body."""

    holds_back: bool
    """Not every event sets its own bytes free."""

    def take(self, chunk: Chunk, payload: bytes) -> bytes:
        """One event; gives the bytes for the client that it sets free (perhaps none yet)."""

    def end(self, tokens: TokenCount) -> bytes:
        """The engine is done: bytes for the client, or the whole body."""


class Passing:
    """Events pass as they were read, but for the constant parts and `usage`."""

    holds_back = False

    def __init__(self, answer_id: str, model: str, *, usage_null: bool) -> None:
        self._id = answer_id
        self._model = model
        self._usage_null = usage_null
        self._splice: Splice | None = None
        self._created = 0
        self._begun: set[int] = set()

    def take(self, chunk: Chunk, payload: bytes) -> bytes:
        if self._splice is None:
            self._created = chunk.created
            self._splice = Splice(chunk, payload, self._id, self._model, usage_null=self._usage_null)
        event = b"data: %b\n\n" % self._splice.apply(chunk, payload)
        choices = chunk.choices
        if len(choices) == 1 and choices[0].index in self._begun:
            return event
        for choice in choices:
            if choice.index not in self._begun:
                self._begun.add(choice.index)
                if choice.delta is not None and choice.delta.role is None:
                    event = self._opening(choice.index) + event
        return event

    def end(self, tokens: TokenCount) -> bytes:  # noqa: ARG002 - an outlet's shape
        return b""

    def _opening(self, index: int) -> bytes:
        """The role, which clients expect first; llama.cpp forgets it when its first token is half a character."""
        delta = {"role": "assistant", "content": ""}
        opening: dict[str, object] = {
            "id": self._id,
            "object": _KINDS[Operation.CHAT][1],
            "created": self._created,
            "model": self._model,
            "choices": [{"index": index, "delta": delta, "logprobs": None, "finish_reason": None}],
        }
        if self._usage_null:
            opening["usage"] = None
        return b"data: %b\n\n" % msgspec.json.encode(opening)


def answer_id(job: Job) -> str:
    """The id that the client sees: the request's own, with the protocol's prefix."""
    prefix = _KINDS.get(job.request.operation, ("",))[0]
    return prefix + job.request.request_id.removeprefix("req_")


def _cut_short(job: Job, index: int, created: int) -> tuple[Chunk, bytes]:
    """The event that ends a choice at its limit, read and written."""
    chat, name, model = job.request.operation is Operation.CHAT, answer_id(job), job.model.id
    choice = ChunkChoice(index, Delta() if chat else None, None if chat else "", "length")
    said: dict[str, object] = {"delta": {}} if chat else {"text": ""}
    told = {"index": index, **said, "logprobs": None, "finish_reason": "length"}
    kind = _KINDS[job.request.operation][1]
    payload = {"id": name, "object": kind, "created": created, "model": model, "choices": [told]}
    return Chunk([choice], name, model, created), msgspec.json.encode(payload)


class StreamRelay:
    """Receiver of the engine's response, `Flow` for the sink, `Answer` for the story."""

    def __init__(self, job: Job, sink: Sink, connection: UpstreamConnection, outlet: Outlet, count: Count) -> None:
        self._delivery = Delivery()
        self._stale = False
        self._job = job
        self._sink = sink
        self._connection = connection
        self._outlet = outlet
        self._count = count
        self._open: Said | None = None
        self._first: asyncio.Future[None] = connection.new_future()
        self._end: asyncio.Future[Delivery] = connection.new_future()
        self._status = 0
        self._rest = b""
        self._separator = b"\n\n"
        self._done_seen = False
        self._created = 0
        self._counts = Counts(job.request.choices, job.request.prompts, ceiling_of(job))
        self._streams = job.request.stream
        self._learns = job.request.stream and job.request.choices == 1 and not outlet.holds_back
        self._thinking = Thinking(begun=begun(job)) if thinks(job) else None
        self._plain: PlainEvent | None = None
        """None also when all is over: then nothing is plain."""

    @property
    def delivery(self) -> Delivery:
        """True at any time; counted when it is asked for."""
        if self._stale:
            self._count_delivered()
        return self._delivery

    @property
    def came(self) -> int:
        """Pieces of text that came; negative while the caller has nothing, so that another replica may be tried."""
        return self._counts.came if self._first.done() else -1

    async def first_event(self) -> None:
        """Return at the first whole event, or at the end of an answer that is handed over whole.

        Raises what `Engine.start` raises.
        """
        await self._first

    async def done(self) -> Delivery:
        delivery = await self._end
        if self._open is not None:
            await self._count_what_is_open(delivery, self._open)
        return delivery

    # Flow

    def pause(self) -> None:
        if not self._end.done():  # afterwards the connection serves somebody else
            self._connection.pause()

    def resume(self) -> None:
        if not self._end.done():
            self._connection.resume()

    def cancel(self, outcome: Outcome = Outcome.CLIENT_LEFT) -> None:
        if not self._end.done():
            self._connection.abort()
            self._finish(outcome)

    # Receiver

    def head(self, status: int) -> None:
        self._status = status

    def body(self, data: bytes) -> None:
        plain = self._plain
        if plain is not None and not self._rest and (event := plain.apply(data)):
            # Most of all events come this way, one at a time: a text in surroundings that are known.
            look = self._counts.take_plain(plain.running, plain.text)
            self._stale = True
            self._sink.events(event)
            if look and self._counts.too_many():
                self._end_at_limit()
            return
        if self._end.done():
            return
        rest = self._rest + data if self._rest else data
        if self._status != 200:  # noqa: PLR2004 - the protocol's word for good
            self._rest = rest[:ERROR_BYTES_MAX]
            return
        if b"\r" in rest:
            self._separator = b"\r\n\r\n"
        end = rest.rfind(self._separator)
        if end < 0:
            self._rest = rest
            if len(rest) > EVENT_BYTES_MAX:
                self._break("an event that never ends")
            return
        self._rest = rest[end + len(self._separator) :]
        self._events(rest[:end].split(self._separator))

    def complete(self) -> None:
        if self._status != 200:  # noqa: PLR2004 - the protocol's word for good
            self._refuse(refusal(self._status, self._rest, self._job))
        elif self._done_seen:
            self._finish(Outcome.COMPLETED)
        elif self._streams:
            self._finish(Outcome.ENGINE_BROKE)
        else:
            self._refuse(EngineUnavailable("The engine stopped before its answer was whole. Try again."))

    def lost(self, failure: EngineUnavailable) -> None:
        if self._done_seen:
            self._finish(Outcome.COMPLETED)
        elif not self._first.done():
            self._refuse(failure)
        else:
            if isinstance(failure, Stalled):
                self._delivery.error = str(failure)
            self._finish(Outcome.ENGINE_BROKE)

    # Events

    def _events(self, events: list[bytes]) -> None:
        out = []
        broken_by = ""
        for event in events:
            if not event.startswith(b"data:"):
                continue
            payload = event[5:].strip()
            if payload == b"[DONE]":
                self._done_seen = True
                continue
            if payload == b"null":  # llama.cpp sends these before the answers to several prompts
                continue
            freed = self._event(payload)
            if isinstance(freed, str):
                broken_by = freed
                break
            out.append(freed)
        self._hand_over(b"".join(out))
        if broken_by:
            # After what came before it was handed over, and counted.
            self._break(broken_by)
        elif self._counts.too_many():
            self._end_at_limit()
        elif self._streams and not self._first.done():
            self._first.set_result(None)

    def _event(self, payload: bytes) -> bytes | str:
        """The bytes that one event sets free, or what is wrong with it."""
        try:
            chunk = self._read(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return "an event that is not JSON"
        if chunk.error is not None:
            return "an error"
        if not chunk.choices:
            self._counts.take_last(chunk)
            return b""
        self._created = self._created or chunk.created
        if self._thinking is not None:
            return self._thought_apart(self._thinking, chunk, payload)
        self._counts.take(chunk)
        freed = self._outlet.take(chunk, payload)
        if self._learns:
            self._plain = learn(chunk, b"data: %b\n\n" % payload, freed) or self._plain
        return freed

    def _thought_apart(self, thinking: Thinking, chunk: Chunk, payload: bytes) -> bytes:
        """The same of a model that can reason. Its plain events begin behind its reasoning."""
        counted, told = thinking.apart(chunk, payload)
        self._counts.take(counted)
        freed = b"".join([self._outlet.take(one, written) for one, written in told])
        if self._learns and counted is chunk:
            self._plain = learn(chunk, b"data: %b\n\n" % payload, freed) or self._plain
        return freed

    def _read(self, payload: bytes) -> Chunk:
        """An event, whatever it claims to have counted. Raises msgspec.DecodeError, UnicodeDecodeError."""
        try:
            return read_chunk(payload)
        except msgspec.ValidationError:
            chunk, claimed = read_odd_chunk(payload).parts()
            self._counts.doubt("contradiction", claimed)
            return chunk

    def _hand_over(self, data: bytes) -> None:
        if not data:
            return
        self._stale = True
        self._sink.events(data)
        if self._outlet.holds_back:
            self._count_delivered()
        if self._streams and not self._first.done():
            self._first.set_result(None)

    def _count_delivered(self) -> None:
        self._stale = False
        self._delivery.tokens = self._counts.by_engine() or self._counts.by_events()

    # Ends

    def _end_at_limit(self) -> None:
        """The engine goes on beyond what it was asked for: stop it, and end the answer as it should have."""
        if self._end.done():
            return
        self._connection.abort()
        came = self._counts.by_events()
        self._counts.doubt("more_than_was_asked", Usage(0, came.completion_total))
        request = self._job.request
        for index in range(request.choices * request.prompts):
            if index not in self._counts.finished:
                self._hand_over(self._outlet.take(*_cut_short(self._job, index, self._created)))
        self._finish(Outcome.COMPLETED)

    def _break(self, what: str) -> None:
        """The engine's stream makes no sense: stop listening to it."""
        self._connection.abort()
        self._delivery.error = f"The engine sent {what}. Try again."
        if self._first.done():
            self._finish(Outcome.ENGINE_BROKE)
        else:
            self._refuse(broken(self._delivery.error))

    def _refuse(self, failure: Failure) -> None:
        self._plain = None
        if not self._first.done():
            self._first.set_exception(failure)
        if not self._end.done():
            self._end.set_result(self.delivery)

    def _finish(self, outcome: Outcome) -> None:
        if self._end.done():
            return
        self._plain = None
        delivery = self.delivery
        delivery.outcome = outcome
        counted = self._counts.by_engine()
        delivery.quarantined = self._counts.claim
        self._open = self._what_is_open(outcome, counted)
        if outcome is Outcome.COMPLETED:
            delivery.tokens = self._counts.by_events() if counted is None else counted
            if self._open is None:
                self._complete(delivery)
        elif not self._job.request.stream:
            delivery.tokens = TokenCount()
        elif self._open is None and delivery.tokens.completion_total and not delivery.tokens.prompt_total:
            self._estimate_prompt(delivery)
        if not self._first.done():
            self._first.set_result(None)
        self._end.set_result(delivery)

    def _what_is_open(self, outcome: Outcome, counted: TokenCount | None) -> Said | None:
        """What the engine can still be asked to count; usually nothing."""
        counts, request, thinking = self._counts, self._job.request, self._thinking
        if outcome is not Outcome.COMPLETED and not (outcome is Outcome.CLIENT_LEFT and request.stream):
            return None
        told = counts.tells_reasoning and not (thinking is not None and thinking.found)
        if counted is not None and (told or not self._may_have_thoughts()):
            return None
        said = with_thoughts_apart(
            self._job,
            [bytes(text) for text in counts.texts.values()],
            [bytes(text) for text in counts.thoughts.values()],
            counts.beside,
        )
        if counted is not None:
            return said if said.thoughts else None
        return said if outcome is Outcome.COMPLETED or said.visible or said.thoughts else None

    def _may_have_thoughts(self) -> bool:
        """Whether there may be reasoning that no running count has told apart."""
        counts, thinking, job = self._counts, self._thinking, self._job
        if not counts.thoughts:
            return Capability.REASONING in job.model.capabilities and job.request.operation is Operation.COMPLETION
        if not counts.tells_running:
            return True
        return thinking is not None and (thinking.uneven or (thinking.found and counts.tells_reasoning))

    async def _count_what_is_open(self, delivery: Delivery, said: Said) -> None:
        """Count it with the model's own tokenizer, or estimate it; the row says so."""
        job = self._job
        self._open = None
        counted = self._counts.by_engine()
        if counted is None:
            own = await count_all(job, said, self._count)
            delivery.tokens, delivery.estimated = own or self._by_events(), True
        else:
            delivery.tokens, delivery.estimated = await count_thoughts(job, said, counted, self._count)
        if delivery.outcome is Outcome.COMPLETED:
            self._complete(delivery)

    def _by_events(self) -> TokenCount:
        return self._counts.by_events()._replace(input=prompt_estimate(self._job))

    def _complete(self, delivery: Delivery) -> None:
        last = self._outlet.end(delivery.tokens)
        job = self._job
        if not job.request.stream:
            delivery.body = last
            return
        if last:
            self._sink.events(last)
        if job.request.include_usage:
            kind = _KINDS[job.request.operation][1]
            delivery.body = usage_event(answer_id(job), kind, self._created, job.model.id, delivery.tokens)

    def _estimate_prompt(self, delivery: Delivery) -> None:
        """No engine counted the prompt: four bytes a token, and the row says so."""
        delivery.estimated = True
        delivery.tokens = delivery.tokens._replace(input=prompt_estimate(self._job))
