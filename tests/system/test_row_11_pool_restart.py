"""Promise 11, its part about pools: a rolling restart of a pool refuses nobody and breaks no answer.

A pool of two real llama.cpp replicas is restarted by `parvis deploy restart`, while streams and whole answers run all
the time. Nobody asks twice: every request has one try.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from parvis.testing.caller import Caller, Seen, chat
from parvis.testing.processes import fake_engine
from parvis.testing.service import Service, planted, served_by, service, wait_until

Level = Literal["C", "N"]
PATH = "/v1/chat/completions"
SOURCES = Path(__file__).parents[2] / "src"
MODEL = "smollm2"
POOL = {
    "id": "pool",
    "source": "here",
    "weights": "builtin:smollm2-135m-instruct",
    "model": MODEL,
    "replicas": 2,
    "parallel": 4,
    "context_tokens": 512,
}
STREAMS = 2
STORIES = ("a lighthouse", "two ferries", "a long winter")
PAUSE_S = 0.1
ROLL_S_MAX = 60.0

END_AT_ONCE = {
    "parvis/app/keep_deployed.py": ("            await self._unused(berth.replica.replica_id)\n", "            pass\n")
}


@dataclass(frozen=True)
class Plan:
    """How much of the promise to run."""

    restarts: int
    tokens: int
    """Of each stream: the restarts meet many of them on their way."""


PLANS: dict[Level, Plan] = {"C": Plan(restarts=1, tokens=40), "N": Plan(restarts=20, tokens=200)}


@dataclass
class Callers:
    """What those who ask have seen."""

    answered: list[Seen] = field(default_factory=list)
    failed: list[Seen] = field(default_factory=list)

    async def ask_until(self, over: asyncio.Event, caller: Caller, about: str, plan: Plan, *, stream: bool) -> None:
        words = f"Tell me a long story about {about}."
        body = chat(words, model=MODEL, stream=stream, max_tokens=plan.tokens if stream else 4)
        while not over.is_set():
            seen = await caller.ask(PATH, body)
            (self.answered if seen.answered else self.failed).append(seen)
            await asyncio.sleep(PAUSE_S)

    def complaints(self, running: Service) -> list[str]:
        """What is wrong with what they saw, and with what was booked of it."""
        ends = Counter(f"{seen.status} {bytes(seen.received[-200:])!r}" for seen in self.failed)
        names = {seen.request_id for seen in self.answered}
        booked = Counter(row["id"] for row in running.usage_rows(of=names))
        wrong = [f"{count} failed: {end}" for end, count in ends.items()]
        wrong += [f"booked {booked[name]} times: {name}" for name in names if booked[name] != 1]
        return wrong + running.check()


def replicas(running: Service) -> dict[str, str]:
    """The state of each replica of the pool, by its id."""
    found: list[dict[str, Any]] = running.get("/v1/replicas", deployment="pool")["data"]
    return {one["id"]: one["state"] for one in found}


def deploy(running: Service) -> None:
    """The pool, ready."""
    running.operator.post("/v1/deployments", json=POOL).raise_for_status()
    wait_until(lambda: list(replicas(running).values()) == ["ready"] * 2, "two replicas are ready", ROLL_S_MAX)


def roll(running: Service) -> None:
    """One restart, until only new replicas are there."""
    before = replicas(running)
    done = running.command("deploy", "restart", "pool")
    assert done.returncode == 0, done.stderr

    def is_over() -> bool:
        now = replicas(running)
        return not now.keys() & before.keys() and list(now.values()) == ["ready"] * 2

    wait_until(is_over, "both replicas are new ones", ROLL_S_MAX)


async def live(running: Service, plan: Plan) -> Callers:
    """Streams and whole answers all the time, from before the first restart until after the last."""
    await asyncio.to_thread(deploy, running)
    callers, over = Callers(), asyncio.Event()
    async with Caller(running.port, running.api_key) as caller:
        asking = [
            asyncio.ensure_future(callers.ask_until(over, caller, story, plan, stream=number < STREAMS))
            for number, story in enumerate(STORIES)
        ]
        for _ in range(plan.restarts):
            await asyncio.to_thread(roll, running)
        over.set()
        await asyncio.gather(*asking)
    return callers


@pytest.mark.timeout(1800)
async def test_a_pool_restarts_without_an_error(tmp_path: Path, level: Level) -> None:
    with fake_engine() as engine, service(tmp_path / "home", engines={"fake": served_by(engine)}) as running:
        callers = await live(running, PLANS[level])
        print(f"\nrow 11: {PLANS[level].restarts} restarts of a pool in {len(callers.answered)} answers, ", end="")
        print(f"{len(callers.failed)} failed")
        assert callers.complaints(running) == []
        assert len(callers.answered) > STREAMS


async def test_control_a_replica_that_is_not_drained_is_noticed(tmp_path: Path) -> None:
    with (
        fake_engine() as engine,
        planted(SOURCES, END_AT_ONCE) as sources,
        service(tmp_path / "home", engines={"fake": served_by(engine)}, source=sources) as running,
    ):
        callers = await live(running, PLANS["C"])
        print(f"\ncontrol of row 11: {len(callers.failed)} of {len(callers.answered)} failed")
        assert callers.failed != []
