"""Promise 10: no retry storm.

All engines of a model are down, in both ways that there are: nothing listens any more, or something listens, says that
it is well, and hangs up on every request. Whoever stands there counts what arrives. Requests come all the time; they
are refused quickly, hardly anything reaches the engines, and when they are back they are asked again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

from parvis.testing.caller import Caller, Seen, chat
from parvis.testing.processes import FakeEngineProcess, fake_engine
from parvis.testing.service import Service, planted, service

DOWN_S = {"C": 4.0, "N": 60.0}
PER_S = {"C": 100, "N": 200}
ATTEMPTS_EACH_MAX = 1.2
REFUSED_S_MAX = {"C": 5.0, "N": 0.1}
"""For the 99th percentile; at level C only hangs fail."""
BACK_S_MAX = {"C": 30.0, "N": 5.0}
AWAY = 503
SOURCES = Path(__file__).parents[2] / "src"
UNLIMITED = {
    "parvis/flows/standing.py": (
        "        if self._budget.spend(self._clock.monotonic_s()):\n",
        "        if True:\n",
    ),
    "parvis/flows/fleet.py": ("ATTEMPTS_MAX = 3\n", "ATTEMPTS_MAX = 1_000\n"),
    "parvis/domain/fleet/health.py": (
        "        self.breaker.open(now_s)\n        self.troubled = True\n",
        "        return\n",
    ),
}
"""Neither budget nor breaker: every request asks every engine."""


class DeadEngine:
    """Listens where an engine was, says that it is well, hangs up on every request for an answer, and counts them."""

    def __init__(self) -> None:
        self.attempts = 0
        self._server: asyncio.Server

    async def start(self, port: int) -> None:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", port)

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.read(65_536)
        if head.startswith(b"POST"):
            self.attempts += 1
            writer.transport.abort()
        else:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            writer.close()


@asynccontextmanager
async def dead_engines(ports: list[int]) -> AsyncIterator[list[DeadEngine]]:
    dead = [DeadEngine() for _ in ports]
    for engine, port in zip(dead, ports, strict=True):
        await engine.start(port)
    yield dead
    for engine in dead:
        await engine.stop()


@contextmanager
def two_engines(home: Path, source: Path | None = None) -> Iterator[tuple[Service, list[FakeEngineProcess]]]:
    with ExitStack() as stack:
        engines = [stack.enter_context(fake_engine()) for _ in range(2)]
        settings = {"kind": "vllm", "model": "fake-8b", "addresses": [engine.address for engine in engines]}
        yield stack.enter_context(service(home, engines={"fake": settings}, source=source)), engines


class Steady:
    """Requests at a steady rate, whatever becomes of them: (when it was sent, how long it took, what came)."""

    def __init__(self, caller: Caller, per_s: int) -> None:
        self._caller = caller
        self._per_s = per_s
        self.done: list[tuple[float, float, Seen]] = []
        self._asking: set[asyncio.Task[None]] = set()
        self._sending: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._sending = asyncio.create_task(self._send())

    async def end(self) -> None:
        assert self._sending is not None
        self._sending.cancel()
        await asyncio.gather(self._sending, *self._asking, return_exceptions=True)

    def since(self, start_s: float, end_s: float) -> list[tuple[float, Seen]]:
        return [(took_s, seen) for at_s, took_s, seen in self.done if start_s <= at_s < end_s]

    async def _send(self) -> None:
        started_s, sent = time.monotonic(), 0
        while True:
            while sent < (time.monotonic() - started_s) * self._per_s:
                sent += 1
                task = asyncio.create_task(self._ask(stream=sent % 2 == 0))
                self._asking.add(task)
                task.add_done_callback(self._asking.discard)
            await asyncio.sleep(1 / self._per_s)

    async def _ask(self, *, stream: bool) -> None:
        at_s = time.monotonic()
        seen = await self._caller.ask("/v1/chat/completions", chat("@tokens=2", stream=stream))
        self.done.append((at_s, time.monotonic() - at_s, seen))


class Span(NamedTuple):
    """From when to when, on the monotonic clock."""

    start_s: float
    end_s: float


async def all_down(engines: list[FakeEngineProcess], down_s: float) -> tuple[Span, Span, int]:
    """Take all engines away for so long: when that was, when somebody counted attempts, and how many came then."""
    for engine in engines:
        await asyncio.to_thread(engine.kill)
    began_s = time.monotonic()
    await asyncio.sleep(down_s / 4)
    counting_s = time.monotonic()
    async with dead_engines([engine.port for engine in engines]) as dead:
        await asyncio.sleep(down_s * 3 / 4)
    ended_s = time.monotonic()
    return Span(began_s, ended_s), Span(counting_s, ended_s), sum(engine.attempts for engine in dead)


async def back_after_s(engines: list[FakeEngineProcess], steady: Steady, within_s: float) -> float:
    """Bring one engine back: how long it took from when it listened until everything was answered again."""
    await asyncio.to_thread(engines[0].restart)
    up_s = time.monotonic()
    while time.monotonic() - up_s < within_s:
        await asyncio.sleep(0.2)
        now_s = time.monotonic()
        last = [seen for at_s, _, seen in steady.done if at_s > now_s - 0.5]
        if len(last) > 10 and all(seen.answered for seen in last):
            return now_s - 0.5 - up_s
    raise AssertionError(f"not back after {within_s} s")


def gateway_attempts(running: Service) -> tuple[int, int]:
    """Requests that were tried again, and those that were not because of the budget, as the gateway counts."""
    text = running.operator.get("/metrics").text
    counts = {line.partition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}
    told = [counts.get(f'parvis_retries_total{{verdict="{verdict}"}}', 0.0) for verdict in ("made", "over budget")]
    return int(told[0]), int(told[1])


async def storm(running: Service, engines: list[FakeEngineProcess], level: str, per_s: int) -> dict[str, Any]:
    async with Caller(running.port, running.api_key) as caller:
        steady = Steady(caller, per_s)
        steady.begin()
        try:
            await asyncio.sleep(1)
            down, counted, attempts = await all_down(engines, DOWN_S[level])
            back_s = await back_after_s(engines, steady, BACK_S_MAX[level])
        finally:
            await steady.end()
    refused = steady.since(down.start_s + 0.1, down.end_s)
    took_s = sorted(took_s for took_s, _ in refused)
    return {
        "refused": len(refused),
        "attempts": attempts,
        "requests": len(steady.since(*counted)),
        "p99_s": took_s[len(took_s) * 99 // 100],
        "back_s": back_s,
        "answers": {seen.status for _, seen in refused},
        "retries": gateway_attempts(running)[0],
        "all": len(steady.done),
    }


@pytest.mark.timeout(600)
async def test_engines_that_are_down_are_hardly_asked(tmp_path: Path, level: Literal["C", "N"]) -> None:
    with two_engines(tmp_path / "home") as (running, engines):
        told = await storm(running, engines, level, PER_S[level])
        print(f"\nrow 10: {told}")
        assert told["answers"] == {AWAY}
        assert told["attempts"] <= told["requests"] * ATTEMPTS_EACH_MAX
        assert told["retries"] <= told["all"] * (ATTEMPTS_EACH_MAX - 1)
        assert told["p99_s"] <= REFUSED_S_MAX[level]
        assert running.check() == []


async def test_control_unlimited_retries_are_a_storm(tmp_path: Path) -> None:
    with planted(SOURCES, UNLIMITED) as sources, two_engines(tmp_path / "home", sources) as (running, engines):
        told = await storm(running, engines, "C", 50)
    print(f"control of row 10: {told}")
    assert told["attempts"] > told["requests"] * ATTEMPTS_EACH_MAX
