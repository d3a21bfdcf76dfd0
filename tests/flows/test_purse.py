"""The gateway's purse: never more than was granted, asked for ahead of need, and honest when there is no more."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.errors import QuotaExhausted, Unavailable
from parvis.core.money import ZERO, Money
from parvis.flows.purse import LeasedPurse

SIZE = Money(100)


class Control:
    """Grants from a credit that ends, each answer as late as the test says."""

    def __init__(self, credit: int, answered: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)) -> None:
        self.credit = credit
        self.granted = 0
        self.asked: list[int] = []
        self.away = False
        self._answered = answered

    async def lease(self, tenant_id: str, amount: Money) -> Money:
        """See the port."""
        assert tenant_id == "t"
        self.asked.append(amount.pico_euro)
        await self._answered()
        if self.away:
            raise Unavailable("Control does not answer.")
        given = min(amount.pico_euro, self.credit)
        self.credit -= given
        self.granted += given
        return Money(given)


async def settled(purse: LeasedPurse) -> None:
    """Let what was fetched ahead arrive."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_first_hold_asks_and_waits_for_the_answer() -> None:
    control = Control(1000)
    purse = LeasedPurse(control, SIZE)
    await purse.hold("t", Money(30))
    assert purse.lease("t").held == Money(30)
    assert control.asked == [130]


async def test_a_lease_is_fetched_ahead_and_nobody_waits_for_it() -> None:
    answer = asyncio.Event()
    control = Control(1000)
    purse = LeasedPurse(control, SIZE)
    await purse.hold("t", Money(30))
    control._answered = answer.wait  # from now on control takes its time
    for _ in range(3):
        async with asyncio.timeout(5):
            await purse.hold("t", Money(30))
    await asyncio.sleep(0)
    assert control.asked == [130, 100]
    answer.set()
    await settled(purse)
    assert purse.lease("t").granted == Money(230)


async def test_who_waits_at_the_same_time_waits_for_the_same_answer() -> None:
    control = Control(10_000)
    purse = LeasedPurse(control, SIZE)
    await asyncio.gather(*[purse.hold("t", Money(10)) for _ in range(10)])
    assert control.asked[0] == 110
    assert len(control.asked) <= 2
    assert purse.lease("t").held == Money(100)


async def test_a_credit_that_ends_is_used_to_its_last_and_then_refused() -> None:
    control = Control(100)
    purse = LeasedPurse(control, SIZE)
    ends = await asyncio.gather(*[purse.hold("t", Money(10)) for _ in range(25)], return_exceptions=True)
    assert sum(end is None for end in ends) == 10
    assert {type(end) for end in ends} == {type(None), QuotaExhausted}
    assert purse.lease("t").available == ZERO


async def test_a_hold_above_what_is_left_is_refused_and_a_smaller_one_is_not() -> None:
    purse = LeasedPurse(Control(50), SIZE)
    with pytest.raises(QuotaExhausted, match="max_tokens"):
        await purse.hold("t", Money(51))
    await purse.hold("t", Money(50))


async def test_what_was_voided_can_be_held_again() -> None:
    purse = LeasedPurse(Control(50), SIZE)
    await purse.hold("t", Money(50))
    purse.settle("t", Money(50), ZERO)
    await purse.hold("t", Money(50))
    purse.settle("t", Money(50), Money(20))
    with pytest.raises(QuotaExhausted):
        await purse.hold("t", Money(31))
    await purse.hold("t", Money(30))


async def test_a_control_that_does_not_answer_is_told_to_all_who_wait() -> None:
    control = Control(1000)
    control.away = True
    purse = LeasedPurse(control, SIZE)
    ends = await asyncio.gather(*[purse.hold("t", Money(10)) for _ in range(5)], return_exceptions=True)
    assert {type(end) for end in ends} == {Unavailable}
    control.away = False
    await purse.hold("t", Money(10))


async def test_while_control_is_away_the_lease_is_used_up_and_not_more() -> None:
    control = Control(1000)
    purse = LeasedPurse(control, SIZE)
    await purse.hold("t", Money(0))
    await settled(purse)
    control.away = True
    for _ in range(10):
        await purse.hold("t", Money(10))
        await settled(purse)
    with pytest.raises(Unavailable):
        await purse.hold("t", Money(10))
    assert purse.lease("t").granted == SIZE


async def test_a_waiter_that_gives_up_costs_nobody_the_answer() -> None:
    answer = asyncio.Event()
    purse = LeasedPurse(Control(1000, answer.wait), SIZE)
    impatient = asyncio.ensure_future(purse.hold("t", Money(10)))
    patient = asyncio.ensure_future(purse.hold("t", Money(10)))
    await asyncio.sleep(0)
    impatient.cancel()
    answer.set()
    await patient
    assert impatient.cancelled()
    assert purse.lease("t").held == Money(10)


@given(
    st.integers(0, 500),
    st.lists(st.tuples(st.integers(0, 80), st.integers(0, 100)), min_size=1, max_size=30),
)
def test_concurrent_holds_never_exceed_the_grants(credit: int, requests: list[tuple[int, int]]) -> None:
    asyncio.run(no_overrun(credit, requests))


async def no_overrun(credit: int, requests: list[tuple[int, int]]) -> None:
    """Every request holds at once, some settle at a part of their hold; after each step the lease is covered."""
    control = Control(credit)
    purse = LeasedPurse(control, SIZE)
    served = 0

    async def one(amount: int, percent: int) -> None:
        nonlocal served
        try:
            await purse.hold("t", Money(amount))
        except QuotaExhausted:
            return
        covered()
        await asyncio.sleep(0)
        billed = amount * percent // 100
        purse.settle("t", Money(amount), Money(billed))
        served += billed
        covered()

    def covered() -> None:
        lease = purse.lease("t")
        assert lease.held.pico_euro + lease.spent.pico_euro <= lease.granted.pico_euro == control.granted
        assert control.granted <= credit

    await asyncio.gather(*[one(*request) for request in requests])
    await settled(purse)
    lease = purse.lease("t")
    assert (lease.held, lease.spent) == (ZERO, Money(served))
