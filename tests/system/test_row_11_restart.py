"""Promise 11: a restart loses nothing.

While callers ask on kept connections and long streams run, gateways are replaced, workers are told to leave, and whole
services take over from one another. A request may meet a connection that ends before any byte of its answer; asking
once more, on a new connection, must answer it.
"""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from parvis.testing.caller import Caller, Seen, chat
from parvis.testing.processes import fake_engine
from parvis.testing.service import Service, planted, served_by, service, wait_until

Level = Literal["C", "N"]
PATH = "/v1/chat/completions"
AT_ONCE = 8
PAUSE_S = 0.05
EVENT_MS = 100
SEED = 11
SOURCES = Path(__file__).parents[2] / "src"

EXIT_AT_ONCE = {"parvis/app/gateway.py": ("        await self._drain(sock)\n", "        sys.exit(0)\n")}


@dataclass(frozen=True)
class Plan:
    """How much of the promise to run."""

    restarts: int
    requests: int
    streams: int
    stream_s: int


PLANS: dict[Level, Plan] = {
    "C": Plan(restarts=5, requests=600, streams=6, stream_s=6),
    "N": Plan(restarts=50, requests=30_000, streams=20, stream_s=60),
}
PLAN_OF_THE_CONTROL = Plan(restarts=2, requests=50, streams=6, stream_s=6)


@dataclass
class Callers:
    """What those who ask have seen."""

    running: Service
    answered: list[Seen] = field(default_factory=list)
    failed: list[Seen] = field(default_factory=list)
    again: int = 0
    """Requests that were asked once more."""
    longest_s: float = 0.0

    async def ask(self, caller: Caller, content: str, *, stream: bool) -> None:
        body, began_s = chat(content, stream=stream), time.monotonic()
        seen = await caller.ask(PATH, body)
        if not seen.status:
            self.again += 1
            async with Caller(self.running.port, self.running.api_key) as fresh:
                seen = await fresh.ask(PATH, body)
        (self.answered if seen.answered else self.failed).append(seen)
        self.longest_s = max(self.longest_s, time.monotonic() - began_s)

    async def ask_until(self, over: asyncio.Event, caller: Caller, plan: Plan) -> None:
        dice = random.Random(SEED)
        while not over.is_set() or len(self.answered) + len(self.failed) < plan.requests:
            await self.ask(caller, f"@tokens={dice.randint(1, 6)}", stream=dice.random() < 0.5)
            await asyncio.sleep(PAUSE_S)

    async def stream_until(self, over: asyncio.Event, caller: Caller, plan: Plan) -> None:
        tokens = plan.stream_s * 1000 // EVENT_MS
        while not over.is_set():
            await self.ask(caller, f"@tokens={tokens} @gap_ms={EVENT_MS}", stream=True)

    def complaints(self) -> list[str]:
        """What is wrong with what they saw, and with what was booked of it."""
        rows = self.running.usage_rows(of=[seen.request_id for seen in self.answered])
        times = Counter(row["id"] for row in rows)
        booked = {row["id"]: (row["outcome"], row["tokens"]["output"]) for row in rows}
        ends = Counter(f"{seen.status} {bytes(seen.received[-200:])!r}" for seen in self.failed)
        wrong = [f"{count} failed: {end}" for end, count in ends.items()]
        wrong += [f"booked {count} times: {name}" for name, count in times.items() if count != 1]
        wrong += [
            f"{tokens_of(seen)} tokens were received of {seen.request_id}, booked {booked.get(seen.request_id)}"
            for seen in self.answered
            if booked.get(seen.request_id) != ("completed", tokens_of(seen))
        ]
        strange = booked.keys() - {seen.request_id for seen in (*self.answered, *self.failed)}
        return wrong + [f"booked, and nobody received it: {name}" for name in strange] + self.running.check()


def tokens_of(seen: Seen) -> int:
    """The output tokens that a caller has received."""
    return seen.tokens if seen.stream else int(seen.json()["usage"]["completion_tokens"])


def replace_gateways(running: Service) -> None:
    done = running.command("gateway", "restart", "--json")
    assert done.returncode == 0, done.stderr


def end_a_worker(running: Service) -> None:
    """As somebody might do by hand: another follows at once, while it drains."""
    before = running.pids("gateway")
    os.kill(max(before), signal.SIGTERM)
    wait_until(lambda: bool(set(running.pids("gateway")) - set(before)), "another gateway is there")


def take_over(running: Service) -> None:
    running.take_over()


WAYS = (replace_gateways, end_a_worker, take_over)


async def restart(running: Service, plan: Plan) -> list[float]:
    """All restarts, one after another; the seconds of each."""
    took_s = []
    for number in range(plan.restarts):
        started_s = time.monotonic()
        await asyncio.to_thread(WAYS[number % len(WAYS)], running)
        took_s.append(time.monotonic() - started_s)
    return took_s


async def live(running: Service, plan: Plan) -> tuple[Callers, list[float]]:
    """Requests and streams all the time, from before the first restart until all is over."""
    callers, over = Callers(running), asyncio.Event()
    async with Caller(running.port, running.api_key) as caller:
        asking = [asyncio.ensure_future(callers.ask_until(over, caller, plan)) for _ in range(AT_ONCE)]
        asking += [asyncio.ensure_future(callers.stream_until(over, caller, plan)) for _ in range(plan.streams)]
        await asyncio.sleep(0.5)
        took_s = await restart(running, plan)
        over.set()
        await asyncio.gather(*asking)
    return callers, took_s


def settings(plan: Plan) -> dict[str, str]:
    """Two workers, and time enough to drain the longest answer, on a machine that others use too."""
    return {"PARVIS_INFERENCE__WORKERS": "2", "PARVIS_INFERENCE__DRAIN_S_MAX": str(plan.stream_s * 2 + 30)}


@pytest.mark.timeout(1800)
async def test_a_restart_loses_nothing(tmp_path: Path, level: Level) -> None:
    plan = PLANS[level]
    with (
        fake_engine() as engine,
        service(tmp_path / "home", engines={"fake": served_by(engine)}, env=settings(plan)) as running,
    ):
        callers, took_s = await live(running, plan)
        print(f"\nrow 11: {plan.restarts} restarts in {len(callers.answered)} answers, {len(callers.failed)} failed")
        print(f"{callers.again} asked once more, the longest took {callers.longest_s:.1f} s; ", end="")
        print(f"a restart took {min(took_s):.1f} to {max(took_s):.1f} s")
        assert callers.complaints()[:5] == []
        assert set(await asyncio.to_thread(running.handed_over)) == {0}


async def test_control_exiting_at_once_is_noticed(tmp_path: Path) -> None:
    plan = PLAN_OF_THE_CONTROL
    with (
        fake_engine() as engine,
        planted(SOURCES, EXIT_AT_ONCE) as sources,
        service(tmp_path / "home", engines={"fake": served_by(engine)}, env=settings(plan), source=sources) as running,
    ):
        callers, _ = await live(running, plan)
        failed = len(callers.failed)
        print(f"\ncontrol of row 11: {failed} of {failed + len(callers.answered)} requests failed")
        assert failed >= plan.streams
