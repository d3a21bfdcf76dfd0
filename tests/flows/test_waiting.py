"""Waiting for a replica: who is let in when, and how each wait ends."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest

from parvis.core.errors import EngineUnavailable, Failure, LimitReached, Unavailable
from parvis.domain.fleet.ask import Ask, Ending
from parvis.domain.fleet.fair_queue import Bounds
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.domain.fleet.seat import Placement
from parvis.domain.metering.records import Outcome
from parvis.flows.fleet import LocalFleet
from parvis.flows.hold import Hold
from parvis.flows.ports import Flow
from parvis.flows.virtual_time import VirtualLoop

SMALL = Bounds(waiting_max=4, per_tenant_max=3, wait_s_max=30.0)


class LoopClock:
    """The time of the loop, which stands still while somebody has something to do."""

    def unix_ms(self) -> int:
        return int(self.monotonic_s() * 1000)

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()


class Receiver:
    """A sink that may leave."""

    left = False

    def __init__(self) -> None:
        self.flow: Flow | None = None

    def attach(self, flow: Flow) -> None:
        self.flow = flow
        if self.left:
            flow.cancel()

    def events(self, data: bytes) -> None:
        raise AssertionError(f"{data!r} is sent before a replica was found")

    def chosen(self, model_id: str, why: str) -> None:
        raise AssertionError(f"{model_id} was asked for by name, not chosen: {why}")

    def flushed(self) -> bool:
        return True

    async def drained(self) -> None:
        return

    def admitted(self, hold: Hold) -> None:
        raise AssertionError(f"{hold} comes later")

    def leave(self, outcome: Outcome = Outcome.CLIENT_LEFT) -> None:
        assert self.flow is not None
        self.flow.cancel(outcome)


class House:
    """A fleet with one replica, and requests that wait for it."""

    def __init__(self, slots: int, bounds: Bounds = SMALL) -> None:
        self.fleet = LocalFleet(LoopClock(), bounds=bounds)
        self.replica = Replica("r1", "pool", EngineKind.VLLM, "http://a", ReplicaState.READY, slots=slots)
        self.fleet.load((self.replica,))
        self.served: list[str] = []
        self.placements: list[Placement] = []
        self.failures: list[Failure] = []

    async def ask(self, tenant_id: str, tokens: int = 1, priority: int = 0, sink: Receiver | None = None) -> None:
        ask = Ask("pool", tenant_id, tokens, priority=priority)
        try:
            placement = self.fleet.place_now(ask) or await self.fleet.place(ask, sink)
        except Failure as failure:
            self.failures.append(failure)
        else:
            self.served.append(tenant_id)
            self.placements.append(placement)

    async def begin(self, *tenants: str) -> list[asyncio.Task[None]]:
        """Requests in this order; all that can be done at once has been done."""
        tasks = [asyncio.ensure_future(self.ask(tenant_id)) for tenant_id in tenants]
        for _ in range(3):
            await asyncio.sleep(0)
        return tasks

    async def end_all(self) -> None:
        """Each that is served ends at once, until nobody is."""
        while self.placements:
            self.fleet.release(self.placements.pop())
            await asyncio.sleep(0)

    @property
    def waiting(self) -> int:
        return self.fleet.room.backlogs()["pool"].requests


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    with closing(VirtualLoop()) as loop:
        yield loop


def run(loop: VirtualLoop, story: Coroutine[Any, Any, None]) -> None:
    loop.run_until_complete(story)


def test_tenants_take_turns_and_nobody_overtakes(loop: VirtualLoop) -> None:
    async def story() -> None:
        house = House(slots=1)
        await house.begin("noisy", "noisy", "noisy", "noisy", "quiet")
        assert (house.served, house.waiting) == (["noisy"], 4)
        await house.end_all()
        assert house.served == ["noisy", "noisy", "quiet", "noisy", "noisy"]
        assert house.fleet.in_flight == 0

    run(loop, story())


def test_a_tier_of_a_higher_priority_goes_first(loop: VirtualLoop) -> None:
    async def story() -> None:
        house = House(slots=1)
        await house.begin("standard", "standard", "standard")
        monthly = asyncio.ensure_future(house.ask("monthly", priority=1))
        await asyncio.sleep(0)
        await house.end_all()
        await monthly
        assert house.served == ["standard", "monthly", "standard", "standard"]

    run(loop, story())


def test_who_waits_too_long_is_told_when_to_come_again(loop: VirtualLoop) -> None:
    async def story() -> None:
        house = House(slots=1)
        await house.begin("a")
        late = await house.begin("b", "b")
        await asyncio.sleep(10)
        await house.begin("c")
        await asyncio.gather(*late)
        assert loop.time() == 30.0
        await asyncio.sleep(10)
        assert loop.time() == 40.0
        assert [(type(one), one.code) for one in house.failures] == [(Unavailable, "queue_timeout")] * 3
        assert all(30 <= (one.retry_after_s or 0) <= 44 for one in house.failures)  # as long as nothing has moved
        assert house.waiting == 0

    run(loop, story())


def test_when_to_come_again_follows_from_how_fast_it_goes(loop: VirtualLoop) -> None:
    async def story() -> None:
        house = House(slots=1)
        await house.begin("a", "a", "b", "b", "c")
        for _ in range(2):  # three seconds each
            await asyncio.sleep(3)
            house.fleet.release(house.placements.pop())
            await asyncio.sleep(0)
        await house.begin("d", "d")
        await house.begin("e", "e")
        assert [one.retry_after_s for one in house.failures] == [13, 13]  # 12, and a little not to come all at once

    run(loop, story())


def test_a_tenant_fills_its_own_part_of_the_room_and_no_more(loop: VirtualLoop) -> None:
    async def story() -> None:
        house = House(slots=1)
        await house.begin(*["noisy"] * 5)
        assert [(type(one), one.code) for one in house.failures] == [(LimitReached, "queue_share_full")]
        await house.begin("b", "c")  # the second of them takes the place of the newest of the noisy one
        assert [one.code for one in house.failures] == ["queue_share_full"] * 2
        await house.begin("d", "e")
        assert sorted(one.code for one in house.failures) == ["queue_full"] + ["queue_share_full"] * 3
        await house.end_all()
        assert sorted(house.served) == ["b", "c", "d", "noisy", "noisy"]

    run(loop, story())


def test_who_leaves_frees_its_place(loop: VirtualLoop) -> None:
    async def story() -> None:
        house = House(slots=1)
        await house.begin("a")
        gone, told, late = Receiver(), Receiver(), Receiver()
        late.left = True
        for sink in (gone, told, late):
            asyncio.ensure_future(house.ask("b", sink=sink))  # noqa: RUF006 - it has ended when this story ends
        await asyncio.sleep(0)
        gone.leave()
        told.leave(Outcome.GATEWAY_LOST)
        gone.leave()
        await asyncio.sleep(0)
        assert [one.code for one in house.failures] == ["client_left", "client_left", "server_draining"]
        assert house.waiting == 0
        await house.end_all()

    run(loop, story())


@pytest.mark.parametrize("when", ["before its turn", "with its turn"])
def test_a_task_that_is_cancelled_keeps_no_place(loop: VirtualLoop, when: str) -> None:
    async def story() -> None:
        house = House(slots=1)
        await house.begin("a")
        cancelled, other = await house.begin("b", "c")
        if when == "with its turn":
            house.fleet.release(house.placements.pop())
        cancelled.cancel()
        with suppress(asyncio.CancelledError):
            await cancelled
        await house.end_all()
        await other
        await house.end_all()
        assert house.served == ["a", "c"]
        assert (house.waiting, house.fleet.in_flight) == (0, 0)

    run(loop, story())


def test_a_task_that_is_cancelled_in_the_moment_of_a_turn_is_passed_over(loop: VirtualLoop) -> None:
    async def story() -> None:
        house = House(slots=1)
        await house.begin("a")
        cancelled, other = await house.begin("b", "c")
        cancelled.cancel()
        house.fleet.release(house.placements.pop())
        await other
        await house.end_all()
        assert house.served == ["a", "c"]

    run(loop, story())


def test_when_no_replica_is_left_nobody_waits_for_one(loop: VirtualLoop) -> None:
    async def story() -> None:
        house = House(slots=1)
        await house.begin("a", "b", "c")
        house.fleet.load(())
        await house.begin()
        assert [type(one) for one in house.failures] == [EngineUnavailable] * 2
        assert house.waiting == 0

    run(loop, story())


def test_who_was_refused_elsewhere_holds_up_nobody(loop: VirtualLoop) -> None:
    async def story() -> None:
        house = House(slots=1)
        other = Replica("r2", "pool", EngineKind.VLLM, "http://b", ReplicaState.READY, slots=1)
        house.fleet.load((house.replica, other))
        await house.begin("a", "b")
        refused = next(one for one in house.placements if one.replica is other)
        house.placements.remove(refused)
        waiting = await house.begin("c")
        retried = asyncio.ensure_future(house.fleet.place(refused.ask))
        await asyncio.sleep(0)
        house.fleet.release(refused, Ending.UNAVAILABLE)
        await asyncio.gather(*waiting)
        assert house.served == ["a", "b", "c"]
        assert not retried.done()
        house.fleet.release(next(one for one in house.placements if one.replica is house.replica))
        assert (await retried).replica is house.replica

    run(loop, story())


def test_waits_are_counted_once(loop: VirtualLoop) -> None:
    async def story() -> None:
        house = House(slots=1)
        await house.begin("a", "b")
        await asyncio.sleep(2)
        await house.end_all()
        assert house.fleet.room.take_waits() == [("pool", 2.0)]
        assert house.fleet.room.take_waits() == []

    run(loop, story())


def test_new_bounds_hold_for_those_that_wait(loop: VirtualLoop) -> None:
    async def story() -> None:
        house = House(slots=1)
        await house.begin("a")
        waiting = await house.begin("b")
        house.fleet.room.renew(Bounds(wait_s_max=5.0))
        await asyncio.gather(*waiting)
        assert (loop.time(), house.failures[0].code) == (5.0, "queue_timeout")

    run(loop, story())
