"""The work that a request asks of the fake engine, with the waits and the ends that were ordered."""

import asyncio
from typing import Annotated, Any, NamedTuple

import msgspec

from parvis.testing.fake_engine.answers import Answer, Json
from parvis.testing.fake_engine.body import Body
from parvis.testing.fake_engine.commands import Commands
from parvis.testing.fake_engine.connection import CutError
from parvis.testing.fake_engine.record import Record
from parvis.testing.fake_engine.shapes import TOLD_TO_FAIL, Shape
from parvis.testing.fake_engine.streams import events

Positive = Annotated[int, msgspec.Meta(ge=1)]


class Message(msgspec.Struct):
    """What is checked of a message."""

    role: str
    content: str | list[Json] | None = None


class Function(msgspec.Struct):
    """What is checked of a function that may be called."""

    name: str
    parameters: Json | None = None


class Tool(msgspec.Struct):
    """What is checked of a tool."""

    function: Function


class StreamOptions(msgspec.Struct):
    """What a stream tells beside its answer."""

    include_usage: bool = False
    continuous_usage_stats: bool = False


class Fields(msgspec.Struct):
    """The fields of a body that steer the engine, checked. The answer is computed from the whole body."""

    model: str = ""
    messages: list[Message] | None = None
    prompt: str | list[Any] | None = None
    input: str | list[Any] | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    timings_per_token: bool = False
    n: Positive | None = 1
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    tools: list[Tool] | None = None
    response_format: Json | None = None
    logprobs: bool | int | None = None
    top_logprobs: int | None = None
    encoding_format: str = "float"
    dimensions: Positive | None = None


class RefusedError(Exception):
    """The request is answered with this status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Job(NamedTuple):
    """One request on its way through the engine."""

    body: Json
    fields: Fields
    orders: Commands
    record: Record
    out: Body


class Pace:
    """Holds one answer to the waits, the silence and the cut that were ordered by number of token events."""

    def __init__(self, orders: Commands) -> None:
        self._orders = orders
        self._events = 0

    def stops_here(self) -> bool:
        return self._events in (self._orders.cut_after, self._orders.hang_after)

    async def stop(self) -> None:
        """Be cut, or be silent until the peer leaves. Raises CutError."""
        if self._events == self._orders.cut_after:
            raise CutError
        await _silence()

    async def token(self) -> None:
        """Wait for the next token event."""
        if self._orders.gap_ms and self._events:
            await asyncio.sleep(self._orders.gap_ms / 1000)
        self._events += 1


async def obey(orders: Commands) -> None:
    """What happens before the first byte. Raises CutError and RefusedError."""
    if orders.first_ms:
        await asyncio.sleep(orders.first_ms / 1000)
    if orders.drop:
        raise CutError
    if orders.hang:
        await _silence()
    if orders.status:
        raise RefusedError(orders.status, TOLD_TO_FAIL)


async def _silence() -> None:
    """Wait for the peer to leave."""
    await asyncio.get_running_loop().create_future()


async def stream(job: Job, shape: Shape, answer: Answer) -> None:
    """Send an answer event by event behind its head, as fast as the peer reads or as slowly as ordered.

    Raises CutError.
    """
    pace = Pace(job.orders)
    for event in events(shape, answer, job.orders):
        if not event.opening and pace.stops_here():
            await job.out.flush()
            await pace.stop()
        if event.tokens:
            await pace.token()
            job.record.tokens_made += event.tokens
        await job.out.event(event.data, event.tokens)
    await job.out.end()


async def compute(job: Job, answer: Answer) -> None:
    """Spend the time that the answer takes. Raises CutError and RefusedError."""
    pace = Pace(job.orders)
    for i in range(max((choice.tokens for choice in answer.choices), default=0)):
        if pace.stops_here():
            await pace.stop()
        await pace.token()
        job.record.tokens_made += sum(i < choice.tokens for choice in answer.choices)
    if pace.stops_here():
        await pace.stop()
    if job.orders.error_event:
        raise RefusedError(500, TOLD_TO_FAIL)
