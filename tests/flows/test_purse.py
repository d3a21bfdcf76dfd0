"""The gateway's purse: never more than was granted, asked for ahead of need, given back when nobody needs it."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parvis.core.errors import Unavailable
from parvis.core.money import ZERO, Money
from parvis.domain.quota.budget import LeaseAnswer, grant_size
from parvis.domain.quota.lease import IDLE_LOOKS
from parvis.flows.ports import Shortage
from parvis.flows.purse import LeasedPurse

LARGEST = Money(6_400)
"""The smallest lease is 100."""
T = ("t",)


class Control:
    """Grants from accounts that end, each answer as late as the test says. `holders` of 0: all that is wanted."""

    def __init__(
        self,
        left: dict[str, int],
        holders: int = 0,
        answered: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0),
    ) -> None:
        self.left = Counter(left)
        self.asked: list[tuple[int, int]] = []
        self.granted: Counter[str] = Counter()
        self.away = False
        self.answered = answered
        self._holders = holders

    async def lease(self, account: str, need: Money, wanted: Money) -> LeaseAnswer:
        """See the port."""
        self.asked.append((need.pico_euro, wanted.pico_euro))
        await self.answered()
        if self.away:
            raise Unavailable("Control does not answer.")
        left, least, most = self.left[account], need.pico_euro, wanted.pico_euro
        if self._holders:
            granted = grant_size(left, least, most, self._holders)
        else:
            granted = min(most, left) if least <= left else 0
        self.left[account] -= granted
        self.granted[account] += granted
        await self.answered()
        return LeaseAnswer(Money(granted), Money(left - granted))

    def give_back(self, account: str, amount: Money) -> None:
        """See the port."""
        self.granted[account] -= amount.pico_euro
        self.left[account] += amount.pico_euro


async def settled() -> None:
    """Let what was fetched ahead arrive."""
    for _ in range(10):
        await asyncio.sleep(0)


async def hold(purse: LeasedPurse, amount: int, accounts: tuple[str, ...] = T) -> Shortage | None:
    return await purse.hold(accounts, Money(amount))


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let so many seconds pass for the purse."""
    passed = [0.0]
    monkeypatch.setattr(asyncio.BaseEventLoop, "time", lambda _: time.monotonic() + passed[0])
    return lambda seconds: passed.__setitem__(0, passed[0] + seconds)


# ------------------------------------------------------------------------------------------------- holding


async def test_the_first_hold_asks_and_waits_for_the_answer() -> None:
    control = Control({"t": 1000})
    purse = LeasedPurse(control, LARGEST)
    assert not purse.hold_now(T, Money(30))
    assert await hold(purse, 30) is None
    assert purse.lease("t").held == Money(30)
    assert control.asked == [(30, 130)]


async def test_what_is_at_hand_is_held_at_once_and_in_all_accounts_or_in_none() -> None:
    purse = LeasedPurse(Control({"t": 1000, "b": 50}), LARGEST)
    assert await hold(purse, 10, ("t", "b")) is None
    assert purse.hold_now(("t", "b"), Money(40))
    before = purse.lease("t").held
    assert not purse.hold_now(("t", "b"), Money(1))
    assert (purse.lease("t").held, purse.lease("b").held) == (before, Money(50))


async def test_a_lease_is_fetched_ahead_and_nobody_waits_for_it() -> None:
    answer = asyncio.Event()
    control = Control({"t": 1000})
    purse = LeasedPurse(control, LARGEST)
    await hold(purse, 30)
    control.answered = answer.wait  # from now on control takes its time
    for _ in range(3):
        assert purse.hold_now(T, Money(30))
    await asyncio.sleep(0)
    assert control.asked == [(30, 130), (0, 100)]
    answer.set()
    await settled()
    assert purse.lease("t").granted == Money(230)


async def test_who_waits_at_the_same_time_waits_for_the_same_answer() -> None:
    control = Control({"t": 10_000})
    purse = LeasedPurse(control, LARGEST)
    await asyncio.gather(*[hold(purse, 10) for _ in range(10)])
    assert control.asked[0] == (10, 110)
    assert len(control.asked) <= 2
    assert purse.lease("t").held == Money(100)


async def test_all_accounts_that_fall_short_are_asked_for_at_once() -> None:
    answer = asyncio.Event()
    control = Control({"t": 100, "b": 100}, answered=answer.wait)
    holding = asyncio.ensure_future(hold(LeasedPurse(control, LARGEST), 10, ("t", "b")))
    await settled()
    assert len(control.asked) == 2
    answer.set()
    assert await holding is None


async def test_a_credit_that_ends_is_used_to_its_last_and_then_refused() -> None:
    purse = LeasedPurse(Control({"t": 100}), LARGEST)
    ends = await asyncio.gather(*[hold(purse, 10) for _ in range(25)])
    assert ends.count(None) == 10
    assert purse.lease("t").available == ZERO


async def test_a_shortage_names_the_account_and_all_that_could_be_held() -> None:
    purse = LeasedPurse(Control({"t": 1000, "b": 50}, holders=2), LARGEST)
    assert await hold(purse, 10, ("t", "b")) is None
    assert await hold(purse, 51, ("t", "b")) == Shortage("b", Money(40), Money(10))
    assert await hold(purse, 40, ("t", "b")) is None
    assert purse.lease("t").held == purse.lease("b").held == Money(50)


async def test_what_was_voided_can_be_held_again() -> None:
    purse = LeasedPurse(Control({"t": 50}), LARGEST)
    await hold(purse, 50)
    purse.settle(T, Money(50), ZERO)
    await hold(purse, 50)
    purse.settle(T, Money(50), Money(20))
    assert await hold(purse, 31) == Shortage("t", Money(30), ZERO)
    assert await hold(purse, 30) is None


async def test_who_is_refused_and_comes_again_at_once_asks_nobody(later: Callable[[float], None]) -> None:
    control = Control({"t": 50})
    purse = LeasedPurse(control, LARGEST)
    for _ in range(100):
        assert await hold(purse, 51) == Shortage("t", Money(50))
    assert len(control.asked) == 1
    control.left["t"] += 1  # somebody raises it
    later(0.26)
    assert await hold(purse, 51) is None


async def test_near_exhaustion_little_is_asked_ahead(later: Callable[[float], None]) -> None:
    control = Control({"t": 160}, holders=1)
    purse = LeasedPurse(control, LARGEST)
    assert await hold(purse, 10) is None  # a quarter of what is left: 40
    for _ in range(20):
        assert purse.hold_now(T, Money(1))
        await settled()
    assert control.asked == [(10, 110)]
    later(0.26)
    assert purse.hold_now(T, Money(1))
    await settled()
    assert control.asked == [(10, 110), (0, 100)]


# ------------------------------------------------------------------------------------------- control is away


async def test_a_control_that_does_not_answer_is_told_to_all_who_wait() -> None:
    control = Control({"t": 1000})
    control.away = True
    purse = LeasedPurse(control, LARGEST)
    ends = await asyncio.gather(*[hold(purse, 10) for _ in range(5)], return_exceptions=True)
    assert {type(end) for end in ends} == {Unavailable}
    control.away = False
    assert await hold(purse, 10) is None


async def test_while_control_is_away_the_lease_is_used_up_and_not_more() -> None:
    control = Control({"t": 1000})
    purse = LeasedPurse(control, LARGEST)
    await hold(purse, 10)
    purse.settle(T, Money(10), ZERO)
    control.away = True
    for _ in range(11):
        assert await hold(purse, 10) is None
        await settled()
    with pytest.raises(Unavailable):
        await hold(purse, 10)
    assert purse.lease("t").granted == Money(110)


async def test_a_waiter_that_gives_up_costs_nobody_the_answer_and_holds_nothing() -> None:
    answer = asyncio.Event()
    purse = LeasedPurse(Control({"t": 1000, "b": 1000}, answered=answer.wait), LARGEST)
    impatient = asyncio.ensure_future(hold(purse, 10, ("t", "b")))
    patient = asyncio.ensure_future(hold(purse, 10, ("t", "b")))
    await asyncio.sleep(0)
    impatient.cancel()
    answer.set()
    await patient
    assert impatient.cancelled()
    assert purse.lease("t").held == purse.lease("b").held == Money(10)


# ------------------------------------------------------------------------------------------- what goes back


async def test_an_idle_account_is_given_back_as_a_whole_and_forgotten() -> None:
    control = Control({"t": 1000, "budget:202610:key:k": 1000})
    purse = LeasedPurse(control, LARGEST)
    for account in control.left:
        await hold(purse, 10, (account,))
    purse.settle(T, Money(10), Money(7))
    for _ in range(IDLE_LOOKS + 1):
        purse.tend()
    assert control.granted == {"t": 7, "budget:202610:key:k": 10}
    assert purse.lease("t").spent == ZERO  # forgotten: what was spent is control's to know
    assert purse.lease("budget:202610:key:k").held == Money(10)
    purse.settle(("budget:202610:key:k",), Money(10), Money(9))
    purse.tend()
    assert control.granted == {"t": 7, "budget:202610:key:k": 9}
    assert await hold(purse, 993) is None


async def test_a_recalled_account_goes_back_at_once_and_only_what_is_needed_is_asked_for_again(
    later: Callable[[float], None],
) -> None:
    control = Control({"t": 1000})
    purse = LeasedPurse(control, LARGEST)
    await hold(purse, 10)
    purse.recall("t")
    purse.recall("nobody's")
    assert control.granted == {"t": 10}
    assert await hold(purse, 5) is None
    assert control.asked[1:] == [(5, 5)]
    later(1.1)
    assert await hold(purse, 5) is None
    assert control.asked[2:] == [(5, 105)]


async def test_in_the_end_all_that_is_free_goes_back() -> None:
    control = Control({"t": 1000, "b": 1000})
    purse = LeasedPurse(control, LARGEST)
    await hold(purse, 10, ("t", "b"))
    purse.settle(("t", "b"), Money(10), Money(3))
    purse.give_back_all()
    purse.give_back_all()
    assert control.granted == {"t": 3, "b": 3}


# ------------------------------------------------------------------------------------------------ any order

ACCOUNTS = ("t", "b1", "b2")


class Bank:
    """Several gateways on the same accounts, and control, which does not always answer."""

    def __init__(self, seed: int, left: dict[str, int], gateways: int) -> None:
        self.random = Random(seed)
        self.controls = [Control({}, holders=gateways, answered=self.pause) for _ in range(gateways)]
        self.purses = [LeasedPurse(control, Money(640)) for control in self.controls]
        self.spent: Counter[str] = Counter()
        self._credit = left
        self._left = Counter(left)
        for control in self.controls:
            control.left = self._left

    async def pause(self) -> None:
        for _ in range(self.random.randrange(4)):
            await asyncio.sleep(0)

    async def request(self, purse: LeasedPurse) -> None:
        """Hold in some accounts, wait, settle at a part. It may be cancelled anywhere."""
        await self.pause()
        accounts = tuple(account for account in ACCOUNTS if account == "t" or self.random.random() < 0.5)
        amount = self.random.randrange(60)
        short = await purse.hold(accounts, Money(amount))
        self.check()
        if short is not None:
            assert short.account in accounts
            return
        billed = self.random.randint(0, amount)
        try:
            await self.pause()
        finally:
            purse.settle(accounts, Money(amount), Money(billed))
            self.spent.update(dict.fromkeys(accounts, billed))
            self.check()

    def fate(self, running: "list[asyncio.Task[None]]") -> None:
        """Somebody gives up; a second passes; control wants money back, or goes away, or comes back."""
        match self.random.randrange(8):
            case 0:
                self.random.choice(running).cancel()
            case 1:
                self.random.choice(self.purses).tend()
            case 2:
                self.random.choice(self.purses).recall(self.random.choice(ACCOUNTS))
            case 3:
                self.random.choice(self.controls).away = self.random.random() < 0.3

    def check(self) -> None:
        """What holds at every moment."""
        for purse, control in zip(self.purses, self.controls, strict=True):
            for account in ACCOUNTS:
                lease = purse.lease(account)
                assert min(lease.available, lease.held, lease.spent) >= ZERO
                assert lease.granted_pico_euro <= control.granted[account]
        for account, credit in self._credit.items():
            assert self._left[account] + self.granted(account) == credit

    def granted(self, account: str) -> int:
        return sum(control.granted[account] for control in self.controls)


@settings(max_examples=60, deadline=None)
@given(st.integers(0), st.tuples(st.integers(0, 400), st.integers(0, 400), st.integers(0, 400)), st.integers(1, 3))
def test_in_any_order_nothing_is_overrun_and_nothing_stays_held(
    seed: int, credit: tuple[int, int, int], gateways: int
) -> None:
    asyncio.run(no_overrun(Bank(seed, dict(zip(ACCOUNTS, credit, strict=True)), gateways)))


async def no_overrun(bank: Bank) -> None:
    async with asyncio.timeout(30):
        running = [asyncio.ensure_future(bank.request(bank.random.choice(bank.purses))) for _ in range(40)]
        while not all(task.done() for task in running):
            await asyncio.sleep(0)
            bank.fate(running)
        await settled()
    ends = await asyncio.gather(*running, return_exceptions=True)
    assert {type(end) for end in ends} <= {type(None), Unavailable, asyncio.CancelledError}
    bank.check()
    for purse in bank.purses:
        assert all(purse.lease(account).held == ZERO for account in ACCOUNTS)
        purse.give_back_all()
    assert {account: bank.granted(account) for account in ACCOUNTS} == {a: bank.spent[a] for a in ACCOUNTS}
