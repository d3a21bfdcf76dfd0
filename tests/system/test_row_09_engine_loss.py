"""Promise 9: the loss of an engine is invisible before the first byte.

One of three engines is killed, again and again, while requests run. A stream that had begun on it ends with one error
event; everything else is answered as if nothing had happened. The one that comes back is asked again.
"""

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from parvis.testing.caller import Caller, Seen, chat
from parvis.testing.processes import FakeEngineProcess, fake_engine
from parvis.testing.service import Service, planted, service, wait_until

KILLS = {"C": 5, "N": 50}
REQUESTS = {"C": 1_000, "N": 20_000}
EJECTED_S_MAX = {"C": 20.0, "N": 2.0}
"""At level C only hangs fail."""
HEALED_S_MAX = 90.0
"""Who is killed again and again is left alone for longer each time, up to 30 s."""
AT_ONCE = 16
GOOD = 200
SEED = 9
SOURCES = Path(__file__).parents[2] / "src"
NO_RETRY = {
    "parvis/flows/serve.py": (
        "            if sink.left or not house.fleet.may_retry(ask):\n",
        "            if sink.left or ask.attempts:\n",
    )
}
ORDERS = (
    "@tokens=3",
    "@tokens=3 @first_ms=40",
    "@tokens=3 @prefill_ms=60",
    "@tokens=12 @gap_ms=5",
)


@contextmanager
def three_engines(home: Path, source: Path | None = None) -> Iterator[tuple[Service, list[FakeEngineProcess]]]:
    with ExitStack() as stack:
        engines = [stack.enter_context(fake_engine()) for _ in range(3)]
        settings = {"kind": "vllm", "model": "fake-8b", "addresses": [engine.address for engine in engines]}
        yield stack.enter_context(service(home, engines={"fake": settings}, source=source)), engines


class Load:
    """Requests for as long as it is wanted, and at least so many."""

    def __init__(self, caller: Caller, count: int, per_s: float) -> None:
        self._caller = caller
        self._count = count
        self._gap_s = AT_ONCE / per_s
        self._dice = random.Random(SEED)
        self.seen: list[Seen] = []
        self.enough = False

    async def run(self) -> None:
        await asyncio.gather(*(self._one_after_another() for _ in range(AT_ONCE)))

    async def _one_after_another(self) -> None:
        while not self.enough or len(self.seen) < self._count:
            body = chat(self._dice.choice(ORDERS), stream=self._dice.random() < 0.7)
            await asyncio.sleep(self._dice.uniform(0, 2) * self._gap_s)
            self.seen.append(await self._caller.ask("/v1/chat/completions", body))


def complaint(seen: Seen) -> str | None:
    """What a client would call an error. An answer that had begun may end early, if it says so."""
    if seen.answered or _broke_honestly(seen):
        return None
    return f"{seen.request_id} {seen.status} {bytes(seen.received)!r}"


def _broke_honestly(seen: Seen) -> bool:
    """The beginning of an answer, one error event at its end, and no `[DONE]`."""
    events = bytes(seen.received).split(b"\n\n")
    if not (seen.stream and seen.status == GOOD and seen.whole) or seen.done or len(events) < 3 or events[-1]:
        return False
    *begun, last = [msgspec.json.decode(event.removeprefix(b"data: "), type=dict) for event in events[:-1]]
    return "error" in last and all("choices" in event for event in begun)


@dataclass(frozen=True)
class Loss:
    """One kill, and how long it took until nobody asked the dead one, and until the living one was asked again."""

    ejected_s: float
    healed_s: float


async def lose_and_heal(running: Service, engines: list[FakeEngineProcess], kills: int) -> list[Loss]:
    dice = random.Random(SEED)
    losses = []
    for _ in range(kills):
        number = dice.randrange(len(engines))
        engine = engines[number]
        await asyncio.to_thread(engine.kill)
        killed_s = time.monotonic()
        await asyncio.to_thread(_wait_for, running, number, {"closed"})
        ejected_s = time.monotonic() - killed_s
        await asyncio.to_thread(engine.restart)
        started_s = time.monotonic()
        await asyncio.to_thread(_wait_until_asked, engine)
        losses.append(Loss(ejected_s, time.monotonic() - started_s))
        await asyncio.to_thread(_wait_for, running, number, {"open", "returning"})
    return losses


def _wait_until_asked(engine: FakeEngineProcess) -> None:
    wait_until(lambda: bool(engine.log()), "it is asked again", HEALED_S_MAX)


def _wait_for(running: Service, number: int, states: set[str]) -> None:
    def is_so() -> bool:
        return running.get("/v1/status")["replicas"][number]["seen"] in states

    wait_until(is_so, f"replica {number} is seen as {states}", HEALED_S_MAX)


@pytest.mark.timeout(1200)
async def test_the_loss_of_an_engine_is_invisible_before_the_first_byte(
    tmp_path: Path, level: Literal["C", "N"]
) -> None:
    with three_engines(tmp_path / "home") as (running, engines):
        async with Caller(running.port, running.api_key) as caller:
            load = Load(caller, REQUESTS[level], per_s=100)
            started_s = time.monotonic()
            loading = asyncio.create_task(load.run())
            losses = await lose_and_heal(running, engines, KILLS[level])
            load.enough = True
            await loading
            took_s = time.monotonic() - started_s
        ejected_s, healed_s = max(loss.ejected_s for loss in losses), max(loss.healed_s for loss in losses)
        complaints = [said for seen in load.seen if (said := complaint(seen))]
        broke = sum(not seen.answered for seen in load.seen) - len(complaints)
        print(f"\nrow 9: {len(losses)} kills in {len(load.seen)} requests, {took_s:.1f} s: {len(complaints)} errors")
        print(f"ejected after at most {ejected_s:.2f} s; asked again {healed_s:.2f} s after it started at most")
        print(f"streams that had begun on a dead engine: {broke}, each with one error event")
        assert complaints[:5] == []
        assert ejected_s <= EJECTED_S_MAX[level]
        assert len(load.seen) >= REQUESTS[level]
        assert len(running.usage_rows(of={seen.request_id for seen in load.seen})) == len(load.seen)
        assert running.check() == []


async def test_control_without_retries_clients_notice(tmp_path: Path) -> None:
    with (
        planted(SOURCES, NO_RETRY) as sources,
        three_engines(tmp_path / "home", sources) as (running, engines),
    ):
        async with Caller(running.port, running.api_key) as caller:
            load = Load(caller, 0, per_s=100)
            loading = asyncio.create_task(load.run())
            await lose_and_heal(running, engines, 1)
            load.enough = True
            await loading
    complaints = [said for seen in load.seen if (said := complaint(seen))]
    print(f"control of row 9: {len(complaints)} errors in {len(load.seen)} requests")
    assert complaints
