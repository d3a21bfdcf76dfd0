"""Shares of what is left, months, and in which order credit is spent."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from parvis.core.money import ZERO, Money
from parvis.domain.billing.order import Order, spend_in_order
from parvis.domain.quota.budget import budget_account, budget_of, grant_size, month_bounds_ms, month_of

AMOUNTS = st.integers(0, 10**15)
HOLDERS = st.integers(0, 50)


@given(AMOUNTS, AMOUNTS, AMOUNTS, HOLDERS)
def test_a_share_covers_the_need_and_never_more_than_is_left(left: int, need: int, more: int, holders: int) -> None:
    granted = grant_size(left, need, need + more, holders)
    assert granted <= left
    assert granted >= need if need <= left else granted == 0
    assert granted <= need + more


@given(AMOUNTS, AMOUNTS, st.integers(1, 50))
def test_ahead_of_need_all_holders_together_get_a_quarter(left: int, wanted: int, holders: int) -> None:
    assert grant_size(left, 0, wanted, holders) * holders * 4 <= left


@given(AMOUNTS, AMOUNTS, HOLDERS)
def test_shares_shrink_as_it_runs_out(left: int, wanted: int, holders: int) -> None:
    shares: list[int] = []
    while (share := grant_size(left, 0, wanted, holders)) and len(shares) < 200:
        shares.append(share)
        left -= share
    assert all(later <= earlier for earlier, later in pairwise(shares))


@given(AMOUNTS, AMOUNTS, st.integers(1, 49))
def test_more_holders_never_get_more_each(left: int, wanted: int, holders: int) -> None:
    assert grant_size(left, 0, wanted, holders + 1) <= grant_size(left, 0, wanted, holders)


@given(st.integers(0, 4 * 10**12))
def test_every_instant_is_in_its_month(unix_ms: int) -> None:
    first, following = month_bounds_ms(month_of(unix_ms))
    assert first <= unix_ms < following
    assert month_of(following) != month_of(unix_ms) == month_of(following - 1)


@given(st.text(), st.integers(197001, 209912))
def test_the_account_of_a_budget_says_whose_it_is(named: str, month: int) -> None:
    assert budget_of(budget_account(named, month)) == (named, month)


def test_an_account_of_money_is_no_budget() -> None:
    assert budget_of("tenant:budget") is None


ORDERS = st.lists(
    st.tuples(st.integers(0, 1000), st.one_of(st.none(), st.integers(0, 5)), st.integers(0, 5)), max_size=6
).map(
    lambda drawn: [
        Order(f"o{number}", "t", Money(amount or 1), "", expires, made, unspent=Money(amount))
        for number, (amount, expires, made) in enumerate(drawn)
    ]
)


@given(ORDERS, st.integers(0, 7000))
def test_what_is_gone_is_of_what_expires_first(orders: list[Order], left: int) -> None:
    whole = sum(order.unspent.pico_euro for order in orders)
    before = {order.order_id: order.unspent for order in orders}
    after = spend_in_order(orders, Money(left))
    assert sum(order.unspent.pico_euro for order in after) == min(whole, left)
    assert all(ZERO <= order.unspent <= before[order.order_id] for order in after)
    for sooner, later in pairwise(after):
        assert sooner.expires_unix_ms is not None or later.expires_unix_ms is None
        assert sooner.unspent == ZERO or later.unspent == before[later.order_id]


@given(ORDERS, st.integers(0, 7000), st.integers(0, 7000))
def test_to_look_twice_is_to_look_once(orders: list[Order], left: int, spent: int) -> None:
    """Nothing hangs on how often it is worked out in between."""
    in_between = spend_in_order(orders, Money(left + spent))
    assert spend_in_order(in_between, Money(left)) == spend_in_order(orders, Money(left))
