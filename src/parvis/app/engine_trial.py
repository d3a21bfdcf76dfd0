"""Try an engine: start its processes as the service would, let streams ask it without a pause, and count.

What counts the tokens shares the cores with what makes them, as a gateway would.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httptools
import msgspec

from parvis.adapters.engines.weights import locate, make_q8_0
from parvis.app.crew import Crew
from parvis.app.engine_start import EngineWork, Started, start_engine
from parvis.domain.fleet.layout import Layout
from parvis.domain.fleet.trial import Figure, percentile
from parvis.settings import EngineSettings

ANSWER_TOKENS = 64
QUIET_S = 0.5
"""Between two loads, for what was broken off to end."""
END_S_MAX = 5.0
_PROMPT = (
    "You are asked for the {number}th time. Explain in a few plain sentences how a small bakery plans its day, "
    "from the first dough in the night to the last loaf that is sold."
)
_EVENT_END = b"\n\n"
_DATA = b"data: "
_DONE = b"[DONE]"
_OK = 200


@asynccontextmanager
async def running(home: Path, engine: EngineSettings, layout: Layout) -> AsyncIterator[list[Started]]:
    """The processes of a layout, ready; they end with the block. Raises Misconfigured with the reason."""
    crew, cache = Crew(home), home / "cache"
    if layout.requantise:
        weights = await asyncio.to_thread(locate, engine.weights, cache)
        await asyncio.to_thread(make_q8_0, weights, cache)
    try:
        starts = (start_engine(crew, cache, _work(engine, layout, number)) for number in range(layout.replicas))
        yield await asyncio.gather(*starts)
    finally:
        await crew.end(END_S_MAX)


async def load(engines: Sequence[Started], streams: int, seconds: float) -> Figure:
    """Ask with so many streams for so long, dealt out evenly, and say what was seen."""
    numbers, seen = count(), _Seen()
    ends_s = time.monotonic() + seconds
    callers = [_ask_for_ever(engines[place % len(engines)], numbers, seen) for place in range(streams)]
    tasks = [asyncio.ensure_future(caller) for caller in callers]
    try:
        await asyncio.sleep(max(0.0, ends_s - time.monotonic()))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    first_ms = seen.first_ms
    return Figure(
        streams, seen.tokens / seconds, percentile(first_ms, 50), percentile(first_ms, 95), failed=seen.failed
    )


async def warm_up(engines: Sequence[Started]) -> None:
    """One answer of each, which nobody counts."""
    for number, engine in enumerate(engines):
        await _ask(engine, number, _Seen())


class _Seen:
    """What all callers of one load have seen."""

    def __init__(self) -> None:
        self.tokens = 0
        self.failed = 0
        self.first_ms: list[float] = []


async def _ask_for_ever(engine: Started, numbers: "count[int]", seen: _Seen) -> None:
    while True:
        if not await _ask(engine, next(numbers), seen):
            seen.failed += 1
            await asyncio.sleep(QUIET_S)


async def _ask(engine: Started, number: int, seen: _Seen) -> bool:
    """One stream, on a connection of its own. Whether it came to its end."""
    host, _, port = engine.address.removeprefix("http://").rpartition(":")
    answer = _Answer(seen)
    try:
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: answer, host, int(port))
    except OSError:
        return False
    try:
        transport.write(_question(engine, number))
        return await answer.whole
    finally:
        answer.leave()
        transport.abort()


def _question(engine: Started, number: int) -> bytes:
    body = msgspec.json.encode(
        {
            "messages": [{"role": "user", "content": _PROMPT.format(number=number)}],
            "max_tokens": ANSWER_TOKENS,
            "temperature": 0.7,
            "stream": True,
            "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        }
    )
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {engine.api_key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Answer(asyncio.Protocol):
    """Reads events and counts what they bring: by the running count where there is one, else one token an event."""

    def __init__(self, seen: _Seen) -> None:
        self.whole: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._seen = seen
        self._asked_s = time.monotonic()
        self._tokens = 0
        self._rest = b""
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._end(whole=False)

    def on_body(self, body: bytes) -> None:
        *events, self._rest = (self._rest + body).split(_EVENT_END)
        for event in events:
            if event.startswith(_DATA) and not self.whole.done():
                self._take(event.removeprefix(_DATA).strip())

    def on_message_complete(self) -> None:
        self._end(whole=False)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as asyncio calls it
        self._end(whole=False)

    def leave(self) -> None:
        """Nobody waits any more. Who had nothing until now has waited so long at least."""
        if not self._tokens:
            self._note_first()
        self._end(whole=False)

    def _take(self, data: bytes) -> None:
        if data == _DONE:
            self._end(whole=self._parser.get_status_code() == _OK and self._tokens > 0)
            return
        event: dict[str, Any] = msgspec.json.decode(data)
        said = (event.get("usage") or {}).get("completion_tokens")
        choices = event.get("choices") or []
        new = said - self._tokens if said is not None else int(any(_has_text(choice) for choice in choices))
        if new > 0 and not self._tokens:
            self._note_first()
        self._tokens += max(0, new)
        self._seen.tokens += max(0, new)

    def _note_first(self) -> None:
        self._seen.first_ms.append((time.monotonic() - self._asked_s) * 1000)

    def _end(self, *, whole: bool) -> None:
        if not self.whole.done():
            self.whole.set_result(whole)


def _has_text(choice: dict[str, Any]) -> bool:
    return bool((choice.get("delta") or {}).get("content"))


def _work(engine: EngineSettings, layout: Layout, number: int) -> EngineWork:
    return EngineWork(
        engine.weights,
        engine.model,
        engine.embedding,
        layout.parallel,
        engine.context_tokens,
        layout.threads,
        kind=layout.kind,
        number=number,
        requantise=layout.requantise,
    )
