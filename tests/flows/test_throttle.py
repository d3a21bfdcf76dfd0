"""What a gateway lets pass of what its owner leases: nothing twice, nothing lost, and no question without need."""

import asyncio
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any

import pytest

from parvis.core.errors import Failure, LimitReached, Unavailable
from parvis.domain.quota.limit import NO_AMOUNTS, Amounts, Limits, Metric, Rate, Window
from parvis.domain.quota.slices import Returned, Trade, Unused, Want, limited, rate_of, subject_of
from parvis.flows.hold import FREE, Passage, RateState
from parvis.flows.limit_texts import duration
from parvis.flows.throttle import LeasedThrottle
from parvis.flows.virtual_time import VirtualLoop
from parvis.testing.rate_histories import EPOCH_MS, SqlOwner

ONE = Amounts(1, 10, 10)
KEY = ("tenant:t", "key:k")
Story = Callable[[], Coroutine[Any, Any, None]]


class World:
    """The owner, and two gateways under these limits."""

    def __init__(self, limits: dict[str, Limits]) -> None:
        self.limits = limits
        self.owner = SqlOwner()
        self.away = False
        self.gateways = [Gateway(self, f"gw_{number}") for number in range(2)]


class Gateway:
    """A throttle and its way to the owner, which takes a millisecond."""

    def __init__(self, world: World, incarnation: str) -> None:
        self._world = world
        self._incarnation = incarnation
        self._numbers = count(1)
        self.trades = 0
        self.throttle = LeasedThrottle(self, self)
        self.throttle.learn(world.limits)

    def unix_ms(self) -> int:
        return EPOCH_MS + round(self.monotonic_s() * 1000)

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def trade(self, unused: list[Unused], wants: list[Want]) -> Trade:
        self.trades += 1
        await asyncio.sleep(0.001)
        if self._world.away:
            raise Unavailable("away")
        limits = self._world.limits
        back = [Returned(one, rate_of(one.bucket, limits[subject_of(one.bucket)])) for one in unused]
        under = [limited(want, limits[subject_of(want.bucket)]) for want in wants]
        return Trade(
            self._world.owner.trade(self._incarnation, next(self._numbers), back, under, self.unix_ms()),
            len(self._world.gateways),
        )

    async def enter(self, most: Amounts = ONE) -> Passage | Failure:
        try:
            return await self.throttle.enter(KEY, most)
        except Failure as failure:
            return failure


def lived(story: Story) -> Callable[[], None]:
    """In virtual time."""

    def run() -> None:
        loop = VirtualLoop()
        try:
            loop.run_until_complete(story())
            loop.clear()
        finally:
            loop.close()

    run.__name__, run.__doc__ = story.__name__, story.__doc__
    return run


def rate(metric: Metric, amount: int, window: Window = Window.MINUTE) -> Rate:
    return Rate(metric, window, amount)


def passed(answers: list[Passage | Failure]) -> list[Passage]:
    return [one for one in answers if isinstance(one, Passage)]


@lived
async def test_where_there_is_no_limit_nobody_is_asked() -> None:
    one, _ = World({"user:u": Limits()}).gateways
    passage = await one.enter()
    assert passage is FREE
    one.throttle.leave(FREE, NO_AMOUNTS)
    assert one.trades == 0


@lived
async def test_what_a_share_covers_waits_for_nobody() -> None:
    one, _ = World({"key:k": Limits((rate(Metric.REQUESTS, 600_000),))}).gateways
    await one.enter()
    asked = one.trades
    before_s = one.monotonic_s()
    for _ in range(500):
        assert isinstance(await one.enter(), Passage)
    assert (one.trades, one.monotonic_s()) == (asked, before_s)
    await asyncio.sleep(0.01)
    assert one.trades <= asked + 1  # more is fetched ahead, once


@lived
async def test_a_limit_lets_exactly_so_many_pass_at_once_in_all() -> None:
    for amount in (1, 7, 20, 60):
        world = World({"tenant:t": Limits((rate(Metric.REQUESTS, amount),)), "key:k": Limits()})
        answers = await asyncio.gather(*(world.gateways[number % 2].enter() for number in range(amount * 3)))
        assert len(passed(answers)) == amount
        refused = next(one for one in answers if isinstance(one, LimitReached))
        assert refused.retry_after_s == -(-60 // amount)


@lived
async def test_a_refusal_says_which_limit_it_is_how_it_stands_and_what_to_do() -> None:
    world = World({"key:k": Limits((rate(Metric.OUTPUT_TOKENS, 15),))})
    one, _ = world.gateways
    await one.enter()
    refused = await one.enter()
    assert str(refused) == (
        "The limit of 15 output tokens a minute of this key is reached: 5 of it left, and this request can be "
        "10 output tokens. There is room in 20 s. A lower max_tokens needs less of it. "
        "Whoever administers your organisation can raise it."
    )
    never = await one.enter(Amounts(1, 1, 16))
    assert str(never).startswith("This request can be 16 output tokens, which is more than the limit of 15 output")
    assert isinstance(never, LimitReached)
    assert never.retry_after_s is None


@lived
async def test_nothing_is_taken_of_one_limit_when_another_refuses() -> None:
    limits = {
        "tenant:t": Limits((rate(Metric.REQUESTS, 20), rate(Metric.INPUT_TOKENS, 40)), concurrent_max=9),
        "key:k": Limits((rate(Metric.OUTPUT_TOKENS, 30),)),
    }
    world = World(limits)
    one, two = world.gateways
    first = passed([await one.enter() for _ in range(10)])
    assert len(first) == 3
    assert first[-1].requests == RateState(20, 17, 9_000)
    assert first[-1].tokens == RateState(30, 0, 60_000)
    assert len(passed([await two.enter(Amounts(17, 10, 0)), await two.enter(Amounts(1, 0, 0))])) == 1
    assert len(passed([await one.enter(Amounts(0, 0, 0)) for _ in range(9)])) == 5  # of nine places four are taken


@lived
async def test_what_a_request_did_not_use_is_there_for_others_less_what_has_come_back_meanwhile() -> None:
    world = World({"key:k": Limits((rate(Metric.OUTPUT_TOKENS, 60),))})
    one, two = world.gateways
    (passage,) = passed([await one.enter(Amounts(1, 0, 60))])
    await asyncio.sleep(10)
    one.throttle.leave(passage, Amounts(1, 0, 20))
    await asyncio.sleep(0.1)
    assert len(passed([await two.enter(Amounts(1, 0, 39)), await two.enter(Amounts(1, 0, 2))])) == 1


@lived
async def test_who_gives_up_waiting_takes_nothing() -> None:
    world = World({"key:k": Limits((rate(Metric.REQUESTS, 3),), concurrent_max=2)})
    one, two = world.gateways
    for wait_s in (0.0, 0.0005, 0.001):
        asking = asyncio.ensure_future(one.enter())
        await asyncio.sleep(wait_s)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await asyncio.sleep(0.01)
    answers = await asyncio.gather(*(two.enter() for _ in range(5)))
    assert len(passed(answers)) == 2
    for passage in passed(answers):
        two.throttle.leave(passage, ONE)
    assert len(passed([await one.enter(), await two.enter()])) == 1


@lived
async def test_places_are_shared_and_come_back_when_requests_end() -> None:
    world = World({"key:k": Limits(concurrent_max=5)})
    one, two = world.gateways
    for gateway, other in ((one, two), (two, one)):
        running = passed(await asyncio.gather(*(gateway.enter() for _ in range(9))))
        assert len(running) == 5
        assert str(await other.enter()).startswith("The limit of 5 requests at a time of this key is reached")
        for passage in running:
            gateway.throttle.leave(passage, NO_AMOUNTS)
        await asyncio.sleep(0.01)


@lived
async def test_without_the_owner_each_gateway_goes_on_with_its_part_for_a_while() -> None:
    world = World({"key:k": Limits((rate(Metric.REQUESTS, 40),), concurrent_max=100)})
    one, two = world.gateways
    await asyncio.gather(*(one.enter() for _ in range(20)), *(two.enter() for _ in range(10)))
    world.away = True
    alone = [len(passed(await asyncio.gather(*(gateway.enter() for _ in range(30))))) for gateway in (one, two)]
    assert [gateway.throttle.divided for gateway in world.gateways] == [True, True]
    assert alone == [10, 5]  # half of what each believed to be left: the other's last requests it has not heard of
    await asyncio.sleep(9)
    assert len(passed(await asyncio.gather(*(one.enter() for _ in range(9))))) == 3
    world.away = False
    await asyncio.sleep(2)
    assert [gateway.throttle.divided for gateway in world.gateways] == [False, False]
    world.away = True
    await one.enter(Amounts(40, 0, 0))
    await asyncio.sleep(61)
    assert isinstance(await one.enter(), Unavailable)


@lived
async def test_limits_that_have_changed_are_looked_up_again() -> None:
    limits = {"key:k": Limits((rate(Metric.REQUESTS, 2),))}
    one, _ = World(limits).gateways
    assert len(passed([await one.enter() for _ in range(3)])) == 2
    limits["key:k"] = Limits((rate(Metric.REQUESTS, 5),))
    one.throttle.forget()
    assert len(passed([await one.enter() for _ in range(9)])) == 3
    del limits["key:k"]
    one.throttle.forget()
    assert await one.enter() is FREE


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(1, "1 s"), (60, "1 min"), (3_725, "1 h 2 min"), (90_000, "1 day 1 h"), (172_801, "2 days 1 s")],
)
def test_times_are_told_in_their_largest_units(seconds: int, said: str) -> None:
    assert duration(seconds) == said
