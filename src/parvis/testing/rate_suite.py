"""What every owner of rates promises, as functions that take an open, empty one.

Their buckets fill in a day, so that the time that a test takes adds nothing to them.
"""

# ruff: noqa: D103, PLR2004 - a promise's name is its sentence, and a number in it is the expectation

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import count

import pytest

from parvis.core.errors import Conflict
from parvis.domain.quota.gcra import interval_ns
from parvis.domain.quota.limit import Limits, Metric, Rate, Window
from parvis.domain.quota.slices import Returned, Slice, Unused, Want, limited, places_bucket, rate_bucket
from parvis.flows.rate_store import RateStore

RATE = Rate(Metric.REQUESTS, Window.DAY, 50)
WIDE = Rate(Metric.OUTPUT_TOKENS, Window.DAY, 6_400)
LIMITS = Limits((RATE, WIDE), concurrent_max=5)
UNIT_NS = interval_ns(RATE)
BUCKET, WIDE_BUCKET, PLACES = rate_bucket("key:k", RATE), rate_bucket("key:k", WIDE), places_bucket("key:k")


def units(count: int, taken_us: int) -> Unused:
    return Unused(BUCKET, count * UNIT_NS, taken_us, UNIT_NS)


class Run:
    """A gateway run, as the owner sees it."""

    def __init__(self, store: RateStore, incarnation: str) -> None:
        self._store = store
        self.incarnation = incarnation
        self._numbers = count(1)

    async def trade(
        self, *wants: Want, unused: Sequence[Unused] = (), number: int | None = None, limits: Limits = LIMITS
    ) -> list[Slice]:
        rates = {rate_bucket("key:k", rate): rate for rate in limits.rates}
        back = [Returned(one, rates.get(one.bucket)) for one in unused]
        number = next(self._numbers) if number is None else number
        return await self._store.trade_rates(self.incarnation, number, back, [limited(want, limits) for want in wants])

    async def take(self, needed: int, bucket: str = BUCKET) -> Slice:
        (slice_,) = await self.trade(Want(bucket, needed, needed))
        return slice_


async def a_bucket_gives_what_it_holds_and_no_more(store: RateStore) -> None:
    one, two = Run(store, "gw_1"), Run(store, "gw_2")
    assert (await one.take(30)).granted == 30
    assert (await two.take(19)).remaining == 1
    refused = await one.take(2)
    assert (refused.granted, refused.remaining) == (0, 1)
    unit_ms = interval_ns(RATE) // 1_000_000
    assert 0 < refused.wait_ms <= unit_ms
    assert 48 * unit_ms < refused.full_ms <= 49 * unit_ms
    assert (await two.take(1)).granted == 1


async def all_of_a_need_or_nothing_of_it_each_bucket_for_itself(store: RateStore) -> None:
    run = Run(store, "gw_1")
    answers = await run.trade(Want(BUCKET, 51, 51), Want(WIDE_BUCKET, 7, 7), Want(BUCKET, 50, 50), Want(BUCKET, 1, 1))
    assert [slice_.granted for slice_ in answers] == [0, 7, 50, 0]


async def ahead_of_need_there_is_a_share_of_what_is_beyond_half(store: RateStore) -> None:
    run = Run(store, "gw_1")
    first, second = await run.trade(Want(WIDE_BUCKET, 64, 9_999), Want(WIDE_BUCKET, 0, 7))
    assert (first.granted, second.granted) == (64 + (6_400 - 64 - 3_200) // 32, 7)
    half = await run.trade(Want(WIDE_BUCKET, 3_200, 3_200), Want(WIDE_BUCKET, 1, 9_999))
    assert [slice_.granted for slice_ in half] == [3_200, 1]
    assert (await run.trade(Want(BUCKET, 1, 50)))[0].granted == 1  # a small limit is never handed out ahead


async def the_same_trade_again_changes_nothing(store: RateStore) -> None:
    run = Run(store, "gw_1")
    answer = await run.trade(Want(BUCKET, 20, 20), Want(PLACES, 2, 2), number=7)
    assert await run.trade(Want(BUCKET, 20, 20), Want(PLACES, 2, 2), number=7) == answer
    assert (await Run(store, "gw_2").take(1)).remaining == 29
    with pytest.raises(Conflict):
        await run.trade(Want(BUCKET, 1, 1), number=6)
    assert (await run.trade(number=8)) == []
    assert (await Run(store, "gw_3").take(1)).remaining == 28


async def what_was_not_used_can_be_taken_again(store: RateStore) -> None:
    run = Run(store, "gw_1")
    slice_ = await run.take(50)
    (again,) = await run.trade(Want(BUCKET, 10, 10), unused=[units(11, slice_.at_us)])
    assert (again.granted, again.remaining) == (10, 1)


async def what_has_come_back_by_itself_is_not_given_back_again(store: RateStore) -> None:
    run = Run(store, "gw_1")
    slice_ = await run.take(50)
    long_ago_us = slice_.at_us - 10 * UNIT_NS // 1000
    assert (await run.trade(Want(BUCKET, 1, 1), unused=[units(10, long_ago_us)]))[0].granted == 0
    (left,) = await run.trade(Want(BUCKET, 4, 4), unused=[units(14, long_ago_us)])
    assert (left.granted, left.remaining) == (4, 0)


async def a_bucket_is_never_fuller_than_full(store: RateStore) -> None:
    run = Run(store, "gw_1")
    slice_ = await run.take(1)
    assert (await run.trade(Want(BUCKET, 51, 51), unused=[units(9, slice_.at_us)]))[0].granted == 0


async def what_was_used_stays_used_when_the_rate_is_another(store: RateStore) -> None:
    run = Run(store, "gw_1")
    slice_ = await run.take(50)
    raised = Limits((Rate(Metric.REQUESTS, Window.DAY, 60),))
    assert [one.granted for one in await run.trade(Want(BUCKET, 10, 10), Want(BUCKET, 1, 1), limits=raised)] == [10, 0]
    lowered, of_before = Limits((Rate(Metric.REQUESTS, Window.DAY, 10),)), units(50, slice_.at_us)
    assert (await run.trade(Want(BUCKET, 1, 1), unused=[of_before], limits=lowered))[0].granted == 0


async def where_the_limit_has_gone_all_is_granted(store: RateStore) -> None:
    run, none = Run(store, "gw_1"), Limits()
    answers = await run.trade(Want(BUCKET, 99, 123), Want(PLACES, 9, 9), limits=none)
    assert [slice_.granted for slice_ in answers] == [123, 9]
    assert (await run.trade(unused=[units(5, 0)], limits=none)) == []


async def places_of_all_runs_together_are_never_more_than_the_limit(store: RateStore) -> None:
    one, two = Run(store, "gw_1"), Run(store, "gw_2")
    assert (await one.take(3, PLACES)).granted == 3
    refused = await two.take(3, PLACES)
    assert (refused.granted, refused.remaining) == (0, 2)
    assert (await two.take(2, PLACES)).granted == 2
    assert (await one.take(4, PLACES)).granted == 3  # it holds what it held
    assert (await two.trade(Want(PLACES, 2, 2), unused=[Unused(PLACES, 1)]))[0].granted == 2
    (more,) = await two.trade(Want(PLACES, 3, 3), unused=[Unused(PLACES, 9)])  # more than it has it cannot keep
    assert more.granted == 2
    assert await two.trade(unused=[Unused(PLACES, 0)]) == []
    assert (await one.take(5, PLACES)).granted == 5


async def places_of_a_run_that_has_ended_are_free(store: RateStore) -> None:
    one, two = Run(store, "gw_1"), Run(store, "gw_2")
    await one.take(5, PLACES)
    await store.keep_places(["gw_1", "gw_2"])
    assert (await two.take(1, PLACES)).granted == 0
    for _ in range(2):
        await store.free_places("gw_1")
    assert (await two.take(5, PLACES)).granted == 5


async def many_at_once_overrun_nothing(store: RateStore) -> None:
    runs = [Run(store, f"gw_{number}") for number in range(4)]

    async def ask_again_and_again(run: Run) -> int:
        return sum([(await run.take(1)).granted for _ in range(15)])

    assert sum(await asyncio.gather(*map(ask_again_and_again, runs))) == 50


PROMISES: tuple[Callable[[RateStore], Awaitable[None]], ...] = (
    a_bucket_gives_what_it_holds_and_no_more,
    all_of_a_need_or_nothing_of_it_each_bucket_for_itself,
    ahead_of_need_there_is_a_share_of_what_is_beyond_half,
    the_same_trade_again_changes_nothing,
    what_was_not_used_can_be_taken_again,
    what_has_come_back_by_itself_is_not_given_back_again,
    a_bucket_is_never_fuller_than_full,
    what_was_used_stays_used_when_the_rate_is_another,
    where_the_limit_has_gone_all_is_granted,
    places_of_all_runs_together_are_never_more_than_the_limit,
    places_of_a_run_that_has_ended_are_free,
    many_at_once_overrun_nothing,
)
