"""What a noisy tenant costs a quiet one, on a clock that no other work disturbs: the queues of two gateways.

`tests/system/test_noisy_tenant.py` does the same with real processes.
"""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle
from random import Random
from statistics import median, quantiles
from typing import NamedTuple

import pytest

from parvis.domain.fleet.ask import Ask
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.domain.fleet.shares import Need, SlotBook, Slots
from parvis.flows.fleet import LocalFleet
from parvis.flows.virtual_time import VirtualLoop
from parvis.testing.queue_laws import plain_fifo

SLOTS = 32
NOISY_TIMES = 50
FIRST_S, TOKEN_S, TOKENS_MAX = 0.15, 0.01, 16
QUIET_AT_ONCE, QUIET_REQUESTS = 2, 200
REPLICA = Replica("r1", "pool", EngineKind.VLLM, "http://a", ReplicaState.READY, slots=SLOTS)


class LoopClock:
    """The time of the loop."""

    def unix_ms(self) -> int:
        return int(self.monotonic_s() * 1000)

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()


class Seen(NamedTuple):
    """Seconds to the first token of each request."""

    alone: list[float]
    quiet: list[float]
    noisy: list[float]


class TwoGateways:
    """Two fleets before one replica, and the book that divides its slots."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._fleets = {name: LocalFleet(LoopClock()) for name in ("g1", "g2")}
        self._book = SlotBook()
        self._book.know([Slots("r1", "pool", SLOTS)])
        self._numbers = dict.fromkeys(self._fleets, 0)
        self._turns = cycle(self._fleets.values())
        self.most = 0
        for name, fleet in self._fleets.items():
            self._book.join(name, {})
            fleet.load((REPLICA,))
        self._deal()

    def _deal(self) -> None:
        """Until what was told is confirmed, and what was confirmed is told."""
        self._hear()
        while grants := self._book.rebalance():
            for grant in grants:
                self._numbers[grant.gateway] = grant.number
                self._fleets[grant.gateway].learn_shares(grant.shares)
            self._hear()

    def _hear(self) -> None:
        for name, fleet in self._fleets.items():
            waiting = fleet.room.backlogs().get("pool", (0, 0, 0))
            need = Need(fleet.in_flight, waiting[0], waiting[2])
            self._book.hear(name, self._numbers[name], {"pool": need}, {"r1": fleet.in_flight})

    async def share_for_ever(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self._book.tick()
            self._deal()

    async def ask(self, tenant_id: str) -> float:
        """One request; how long its first token took."""
        fleet, ask = next(self._turns), Ask("pool", tenant_id, 100)
        asked_s = asyncio.get_running_loop().time()
        placement = fleet.place_now(ask) or await fleet.place(ask)
        self.most = max(self.most, sum(one.in_flight for one in self._fleets.values()))
        await asyncio.sleep(FIRST_S)
        first_s = asyncio.get_running_loop().time() - asked_s
        await asyncio.sleep(TOKEN_S * self._random.randint(0, TOKENS_MAX))
        fleet.release(placement)
        return first_s

    async def ask_many(self, tenant_id: str, requests: int, seen: list[float]) -> None:
        for _ in range(requests):
            first_s = await self.ask(tenant_id)
            seen.append(first_s)

    async def quiet(self, seen: list[float]) -> None:
        each = QUIET_REQUESTS // QUIET_AT_ONCE
        await asyncio.gather(*(self.ask_many("quiet", each, seen) for _ in range(QUIET_AT_ONCE)))

    async def run(self) -> Seen:
        seen = Seen([], [], [])
        loop = asyncio.get_running_loop()
        sharing = loop.create_task(self.share_for_ever())
        await self.quiet(seen.alone)
        noise = [
            loop.create_task(self.ask_many("noisy", 10**6, seen.noisy)) for _ in range(QUIET_AT_ONCE * NOISY_TIMES)
        ]
        await asyncio.sleep(3.0)
        await self.quiet(seen.quiet)
        for task in (sharing, *noise):
            task.cancel()
        return seen


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    with closing(VirtualLoop()) as loop:
        yield loop
        loop.clear()


def p99_s(first_s: list[float]) -> float:
    return quantiles(first_s, n=100)[98]


def story(loop: VirtualLoop) -> Seen:
    async def both() -> Seen:
        gateways = TwoGateways(1)
        seen = await gateways.run()
        assert gateways.most == SLOTS
        return seen

    seen = loop.run_until_complete(both())
    for name, first_s in seen._asdict().items():
        print(f"{name}: p50 {median(first_s):.3f} s, p99 {p99_s(first_s):.3f} s of {len(first_s)}")
    return seen


def test_the_first_token_of_the_quiet_one_is_hardly_later(loop: VirtualLoop) -> None:
    seen = story(loop)
    assert p99_s(seen.quiet) <= 1.5 * p99_s(seen.alone)


def test_first_come_first_served_is_noticed(loop: VirtualLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    plain_fifo(monkeypatch)
    seen = story(loop)
    assert p99_s(seen.quiet) > 3 * p99_s(seen.alone)
