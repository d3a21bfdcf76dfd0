"""A lease is never overrun and never leaks; a worst case is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from parvis.core.money import ZERO, Money
from parvis.domain.quota.admission import WorstCase, counted, shortened, worst_case
from parvis.domain.quota.lease import SHARES, Lease, Pace

amounts = st.integers(0, 1000)
tokens = st.integers(0, 1000)
MOST = 6_400
"""The largest lease; the smallest is 100."""


class LeaseLife(RuleBasedStateMachine):
    """Any sequence of grants, holds, settlements, voids and returns."""

    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.lease = Lease()
        self.granted = self.spent = 0

    @rule(amount=amounts)
    def grant(self, amount: int) -> None:
        self.lease.grant(amount)
        self.granted += amount

    @rule(target=holds, amount=amounts)
    def hold(self, amount: int) -> object:
        covered = amount <= self.lease.free_pico_euro()
        assert self.lease.hold(amount) == covered
        return amount if covered else multiple()

    @rule(hold=consumes(holds), part=st.fractions(0, 1))
    def settle(self, hold: int, part: object) -> None:
        billed = int(hold * part)  # type: ignore[operator]  # hypothesis types fractions as numbers
        self.lease.settle(hold, billed)
        self.spent += billed

    @rule(hold=consumes(holds))
    def void(self, hold: int) -> None:
        available = self.lease.available
        self.lease.settle(hold, 0)
        assert self.lease.available == available + Money(hold)

    @rule(part=st.fractions(0, 1))
    def give_back(self, part: object) -> None:
        amount = int(self.lease.free_pico_euro() * part)  # type: ignore[operator]  # hypothesis types fractions as numbers
        self.lease.give_back(amount)
        self.granted -= amount

    @invariant()
    def nothing_is_made_or_lost(self) -> None:
        lease = self.lease
        assert lease.granted == lease.available + lease.held + lease.spent
        assert (lease.granted, lease.spent) == (Money(self.granted), Money(self.spent))

    @invariant()
    def nothing_is_overrun(self) -> None:
        assert min(self.lease.available, self.lease.held, self.lease.spent) >= ZERO


TestLeaseLife = LeaseLife.TestCase


def test_more_than_was_held_is_never_spent() -> None:
    lease = Lease(Money(10))
    assert lease.hold(4)
    with pytest.raises(ValueError, match="never above its hold"):
        lease.settle(4, 5)


def test_what_is_held_or_spent_is_not_given_back() -> None:
    lease = Lease(Money(10), Money(4), Money(3))
    with pytest.raises(ValueError, match="held or spent"):
        lease.give_back(4)
    lease.give_back(3)
    assert lease.available == ZERO


def test_the_last_pico_euro_can_be_held() -> None:
    lease = Lease(Money(10))
    assert lease.hold(10)
    assert not lease.hold(1)


# ---------------------------------------------------------------------------------------------------------- pace


def spend(lease: Lease, pico_euro: int) -> None:
    lease.grant(pico_euro)
    assert lease.hold(pico_euro)
    lease.settle(pico_euro, pico_euro)


def test_a_lease_lasts_two_seconds_at_the_pace_of_the_last_ones() -> None:
    lease, pace, sizes = Lease(), Pace(MOST), []
    for spent in (0, 20, 1000, 1000, 10_000, 0, 0, 0):
        spend(lease, spent)
        pace.look(lease)
        sizes.append(pace.size)
    assert sizes == [100, 100, 2000, 2000, 6400, 6400, 5000, 2500]


def test_what_is_idle_goes_back_as_a_whole_and_what_is_used_is_kept() -> None:
    lease, pace = Lease(Money(150)), Pace(MOST)
    assert lease.hold(10)
    returns = [pace.look(lease) for _ in range(6)]
    assert returns == [0, 0, 0, 0, 0, 140]
    lease.give_back(140)
    lease.grant(100)
    assert lease.hold(1)
    assert not pace.look(lease)
    assert not pace.idle


def test_what_was_free_all_the_time_is_more_than_is_needed() -> None:
    lease, pace = Lease(Money(1000)), Pace(MOST)
    assert lease.hold(400)
    lease.settle(400, 0)
    assert pace.look(lease) == 1000 - 400 - 2 * 100
    lease.give_back(400)
    assert lease.hold(400)
    lease.settle(400, 0)
    assert pace.look(lease) == 0


@given(st.lists(st.tuples(amounts, amounts, amounts), max_size=30))
def test_whatever_happens_a_look_finds_no_more_than_is_free(seconds: list[tuple[int, int, int]]) -> None:
    lease, pace = Lease(), Pace(MOST)
    for granted, held, billed in seconds:
        lease.grant(granted)
        if lease.hold(held):
            lease.settle(held, min(held, billed))
        back = pace.look(lease)
        assert 0 <= back <= lease.free_pico_euro()
        assert MOST // SHARES <= pace.size <= MOST
        lease.give_back(back)


# --------------------------------------------------------------------------------------------------- worst case


@given(tokens, tokens, st.integers(1, 1000), st.none() | tokens, st.integers(1, 8), st.integers(1, 16), st.data())
def test_no_request_exceeds_its_worst_case(
    input_bytes: int,
    template: int,
    context: int,
    asked: int | None,
    choices: int,
    prompts: int,
    data: st.DataObject,
) -> None:
    worst = worst_case(
        input_bytes=input_bytes,
        template_tokens=template,
        context_tokens=context,
        output_tokens_max=asked,
        choices=choices,
        prompts=prompts,
    )
    seen = [data.draw(st.integers(0, min(template + part, context))) for part in shares(input_bytes, prompts)]
    answer_max = context if asked is None else min(asked, context)
    answers = data.draw(st.lists(st.integers(0, answer_max), max_size=choices * prompts))
    assert sum(seen) <= worst.input_tokens_max
    assert sum(answers) <= worst.output_tokens_max
    assert worst.output_tokens_each == answer_max


def shares(total: int, parts: int) -> list[int]:
    """`total` cut into `parts`, the first one largest."""
    return [total - (parts - 1) * (total // parts), *[total // parts] * (parts - 1)]


def test_a_worst_case_is_tight() -> None:
    worst = worst_case(
        input_bytes=100, template_tokens=20, context_tokens=1000, output_tokens_max=50, choices=2, prompts=3
    )
    assert (worst.input_tokens_max, worst.output_tokens_max, worst.output_tokens_each) == (160, 300, 50)


def test_nothing_exceeds_the_context() -> None:
    worst = worst_case(input_bytes=10**6, template_tokens=20, context_tokens=1000, output_tokens_max=None, choices=1)
    assert (worst.input_tokens_max, worst.output_tokens_max, worst.output_tokens_each) == (1000, 1000, 1000)


@given(st.integers(0, 100), st.integers(1, 8), st.integers(0, 1000), st.integers(0, 1000))
def test_a_shortened_answer_fits_and_is_the_longest_that_does(
    each: int, answers: int, affordable: int, input_max: int
) -> None:
    worst = WorstCase(input_max, each * answers, each)
    shorter = shortened(worst, affordable)
    if shorter is None:
        assert each == 0 or affordable < answers
        return
    assert shorter.output_tokens_max == shorter.output_tokens_each * answers <= max(affordable, 0)
    assert 1 <= shorter.output_tokens_each <= each
    assert shorter.output_tokens_each == each or (shorter.output_tokens_each + 1) * answers > affordable


def test_a_count_is_never_believed_above_the_bound() -> None:
    worst = WorstCase(100, 50, 50)
    assert counted(worst, 30) == WorstCase(30, 50, 50)
    assert counted(worst, 130) == worst
