"""A stream whose first byte is late runs on two replicas: one answers, the other is stopped, and no place is lost."""

import asyncio
from typing import cast

import pytest

from parvis.core.clock import SystemClock
from parvis.core.errors import BadRequest, EngineUnavailable, Failure
from parvis.core.tokens import TokenCount
from parvis.domain.fleet.ask import Ask
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.domain.fleet.seat import Placement
from parvis.domain.metering.records import Outcome
from parvis.flows.fleet import LocalFleet
from parvis.flows.hedging import JobOn, start_hedged
from parvis.flows.hold import Hold
from parvis.flows.ports import Answer, Delivery, Flow, House, Job, Sink
from parvis.flows.trail import Trail

HEDGE_S = 0.02
NEVER_S = 60.0
SOON_S = 5.0


class Relay:
    """One attempt on a replica: its answer begins when told, fails, or is stopped."""

    def __init__(self, replica_id: str, sink: Sink) -> None:
        self.replica_id = replica_id
        self.delivery = Delivery(TokenCount(1, 0, 1))
        self.stopped = False
        self._sink = sink
        self.first: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def say(self, data: bytes) -> None:
        self._sink.events(data)
        if not self.first.done():
            self.first.set_result(None)

    def fail(self, failure: Failure) -> None:
        self.first.set_exception(failure)

    async def done(self) -> Delivery:
        return self.delivery

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def cancel(self, outcome: Outcome = Outcome.CLIENT_LEFT) -> None:
        self.stopped = True
        self.delivery.outcome = outcome
        if not self.first.done():
            self.first.set_result(None)


class Engines:
    """All attempts, in the order in which they were made."""

    def __init__(self) -> None:
        self.asked: list[Relay] = []
        self.connects = asyncio.Event()
        self.connects.set()

    async def start(self, job: Job, sink: Sink) -> Answer:
        await self.connects.wait()
        relay = Relay(cast("Placement", job).replica.replica_id, sink)
        self.asked.append(relay)
        sink.attach(relay)
        await relay.first
        return relay

    async def asks(self, count: int) -> Relay:
        """The latest, when there were so many."""
        async with asyncio.timeout(SOON_S):
            while len(self.asked) < count:  # noqa: ASYNC110 - others run meanwhile, on the same loop
                await asyncio.sleep(0)
        return self.asked[-1]


class Client:
    def __init__(self) -> None:
        self.left = False
        self.got: list[bytes] = []
        self.flow: Flow | None = None

    def attach(self, flow: Flow) -> None:
        self.flow = flow

    def events(self, data: bytes) -> None:
        self.got.append(data)

    def flushed(self) -> bool:
        return True

    async def drained(self) -> None: ...

    def admitted(self, hold: Hold) -> None: ...

    def chosen(self, model_id: str, why: str) -> None: ...


class Notes:
    """A trail: who has the place now."""

    def __init__(self) -> None:
        self.placement: Placement | None = None

    def let_go(self) -> None:
        self.placement = None

    def follow(self, placement: Placement) -> None:
        self.placement = placement


class World:
    def __init__(self, replicas: int = 2, hedge_s: float = HEDGE_S) -> None:
        self.engines, self.client, self.notes = Engines(), Client(), Notes()
        self.fleet = LocalFleet(SystemClock())
        self.fleet.hedge_after_s = hedge_s
        ready = ReplicaState.READY
        self.fleet.load(
            tuple(Replica(f"e-{n}", "e", EngineKind.VLLM, f"http://127.0.0.1:{n + 1}", ready) for n in range(replicas))
        )
        self.ask = Ask("e", "t")

    def begin(self, job_on: JobOn = lambda placement: cast("Job", placement)) -> "asyncio.Task[Answer]":
        first = self.fleet.place_now(self.ask)
        assert first is not None
        self.notes.placement = first
        house = cast("House", self)
        trail = cast("Trail", self.notes)
        return asyncio.ensure_future(start_hedged(house, self.client, trail, self.ask, first, job_on))

    @property
    def engine(self) -> Engines:
        return self.engines

    async def ended(self) -> int:
        """Places that are taken, once the one of the answer was given back."""
        if self.notes.placement is not None:
            self.fleet.release(self.notes.placement)
        for _ in range(10):
            await asyncio.sleep(0)
        return self.fleet.in_flight


async def test_a_first_byte_in_time_is_one_attempt() -> None:
    world = World(hedge_s=NEVER_S)
    answering = world.begin()
    first = await world.engines.asks(1)
    first.say(b"a")
    assert await answering is first
    first.say(b"b")
    assert (world.client.got, len(world.engines.asked), await world.ended()) == ([b"a", b"b"], 1, 0)


async def test_of_two_the_first_to_begin_answers_and_nothing_of_the_other_is_heard() -> None:
    for winner in (0, 1):
        world = World()
        answering = world.begin()
        await world.engines.asks(2)
        wins, loses = world.engines.asked[winner], world.engines.asked[1 - winner]
        wins.say(b"a")
        assert await answering is wins
        loses.say(b"never")
        wins.say(b"b")
        assert (world.client.got, loses.stopped, wins.stopped) == ([b"a", b"b"], True, False)
        assert world.notes.placement is not None
        assert world.notes.placement.replica.replica_id == wins.replica_id != loses.replica_id
        assert await world.ended() == 0


async def test_one_that_fails_leaves_it_to_the_other() -> None:
    for loser in (0, 1):
        world = World()
        answering = world.begin()
        await world.engines.asks(2)
        world.engines.asked[loser].fail(EngineUnavailable("gone"))
        world.engines.asked[1 - loser].say(b"a")
        assert await answering is world.engines.asked[1 - loser]
        assert (world.client.got, await world.ended()) == ([b"a"], 0)


async def test_where_both_fail_the_story_hears_of_it() -> None:
    world = World()
    answering = world.begin()
    await world.engines.asks(2)
    for relay in world.engines.asked:
        relay.fail(EngineUnavailable("gone"))
    with pytest.raises(EngineUnavailable):
        await answering
    assert await world.ended() == 0


async def test_what_is_wrong_with_the_request_ends_both() -> None:
    world = World()
    answering = world.begin()
    await world.engines.asks(2)
    world.engines.asked[0].fail(BadRequest("no"))
    with pytest.raises(BadRequest):
        await answering
    assert (world.engines.asked[1].stopped, await world.ended()) == (True, 0)


async def test_a_client_that_leaves_stops_both() -> None:
    world = World()
    answering = world.begin()
    await world.engines.asks(2)
    world.client.left = True
    assert world.client.flow is not None
    world.client.flow.cancel()
    answer = await answering
    assert answer.delivery.outcome is Outcome.CLIENT_LEFT
    assert ([relay.stopped for relay in world.engines.asked], await world.ended()) == ([True, True], 0)


async def test_there_is_no_second_without_another_replica_or_without_a_budget() -> None:
    alone, poor = World(replicas=1), World()
    poor.ask.attempts = 3
    for world in (alone, poor):
        answering = world.begin()
        first = await world.engines.asks(1)
        await asyncio.sleep(3 * HEDGE_S)
        assert len(world.engines.asked) == 1
        first.say(b"a")
        assert await answering is first
        assert await world.ended() == 0


@pytest.mark.parametrize("connected", [False, True])
async def test_who_is_cancelled_leaves_no_place_taken(*, connected: bool) -> None:
    world = World()
    if not connected:
        world.engines.connects.clear()
    answering = world.begin()
    if connected:
        await world.engines.asks(2)
    else:
        await asyncio.sleep(3 * HEDGE_S)
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
    assert await world.ended() == 0
    assert all(relay.stopped for relay in world.engines.asked)


async def test_a_second_that_cannot_be_asked_is_given_back() -> None:
    world = World()

    def of_one_kind(placement: Placement) -> Job:
        if world.engines.asked:
            raise BadRequest("its kind cannot")
        return cast("Job", placement)

    answering = world.begin(of_one_kind)
    first = await world.engines.asks(1)
    await asyncio.sleep(3 * HEDGE_S)
    first.say(b"a")
    assert await answering is first
    assert (len(world.engines.asked), await world.ended()) == (1, 0)
