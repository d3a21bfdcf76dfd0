"""A lease is never overrun and never leaks; a worst case is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from parvis.core.money import ZERO, Money
from parvis.domain.quota.admission import worst_case
from parvis.domain.quota.lease import Lease, top_up

amounts = st.integers(0, 1000).map(Money)
tokens = st.integers(0, 1000)


class LeaseLife(RuleBasedStateMachine):
    """Any sequence of grants, holds, settlements and voids."""

    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.lease = Lease()
        self.granted = self.spent = 0

    @rule(amount=amounts)
    def grant(self, amount: Money) -> None:
        self.lease = self.lease.grant(amount)
        self.granted += amount.pico_euro

    @rule(target=holds, amount=amounts)
    def hold(self, amount: Money) -> object:
        before = self.lease
        after = before.hold(amount)
        assert (after is None) == (amount > before.available)
        if after is None:
            return multiple()
        self.lease = after
        return amount

    @rule(hold=consumes(holds), part=st.fractions(0, 1))
    def settle(self, hold: Money, part: object) -> None:
        billed = Money(int(hold.pico_euro * part))  # type: ignore[operator]  # hypothesis types fractions as numbers
        self.lease = self.lease.settle(hold, billed)
        self.spent += billed.pico_euro

    @rule(hold=consumes(holds))
    def void(self, hold: Money) -> None:
        available = self.lease.available
        self.lease = self.lease.settle(hold, ZERO)
        assert self.lease.available == available + hold

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
    lease = Lease().grant(Money(10)).hold(Money(4))
    assert lease is not None
    with pytest.raises(ValueError, match="never above its hold"):
        lease.settle(Money(4), Money(5))


def test_the_last_pico_euro_can_be_held() -> None:
    lease = Lease().grant(Money(10))
    assert lease.hold(Money(10)) == Lease(Money(10), Money(10), ZERO)
    assert lease.hold(Money(11)) is None


# --------------------------------------------------------------------------------------------------- topping up


@given(amounts, amounts, amounts, amounts.filter(bool))
def test_what_is_asked_for_covers_what_is_wanted(granted: Money, held: Money, wanted: Money, size: Money) -> None:
    lease = Lease().grant(granted).hold(held) or Lease()
    asked = top_up(lease, wanted, size)
    assert lease.grant(asked).available >= wanted
    assert asked == ZERO or lease.grant(asked).available >= size


def test_nothing_is_asked_for_while_half_a_lease_is_free() -> None:
    size = Money(100)
    assert top_up(Lease(Money(50)), Money(50), size) == ZERO
    assert top_up(Lease(Money(49)), ZERO, size) == size
    assert top_up(Lease(Money(50)), Money(51), size) == Money(151)


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
