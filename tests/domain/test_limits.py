"""Limits in words and back, what holds beside a tier, when notice is given, and what a month will cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.money import ZERO, Money
from parvis.domain.billing.forecast import DAY_MS, HOUR_MS, PACE_DAYS, forecast
from parvis.domain.quota.limit import (
    FIRST_TIERS,
    NO_LIMITS,
    Level,
    Limits,
    Metric,
    Rate,
    Window,
    notice_amounts,
    overlay,
    read_subject,
    subject,
)
from parvis.domain.quota.limit_words import NAMES, in_words, of_words

MONTH_DAYS = 30
amounts = st.integers(0, 10**19).map(Money)
rates = st.builds(
    tuple,
    st.lists(
        st.builds(Rate, st.sampled_from(Metric), st.sampled_from(Window), st.integers(1, 10**10)),
        unique_by=lambda rate: (rate.metric, rate.window),
    ),
)
limits = st.builds(
    Limits,
    rates,
    st.none() | st.integers(1, 10**6),
    st.none() | amounts,
    st.none() | amounts,
    st.lists(st.integers(1, 1000), unique=True, max_size=5).map(lambda found: tuple(sorted(found))),
)


@given(limits)
def test_limits_are_said_in_words_and_read_again(some: Limits) -> None:
    said = in_words(some)
    assert set(said) <= set(NAMES)
    read = of_words(said)
    assert in_words(read) == said
    assert (set(read.rates), read.concurrent_max, read.monthly) == (set(some.rates), some.concurrent_max, some.monthly)
    assert (read.monthly_notice, read.notice_percents) == (some.monthly_notice, some.notice_percents)


@pytest.mark.parametrize(
    "said",
    [{"requests_per_week": 1}, {"requests_per_minute": 0}, {"monthly_euro": "-1"}, {"monthly_euro": "a lot"}],
)
def test_what_cannot_be_a_limit_is_refused(said: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        of_words(said)


@given(limits, limits)
def test_what_was_agreed_holds_and_else_the_tier(wide: Limits, own: Limits) -> None:
    both = overlay(wide, own)
    held = {(rate.metric, rate.window): rate for rate in both.rates}
    assert all(held[rate.metric, rate.window] == rate for rate in own.rates)
    assert held.keys() == {(rate.metric, rate.window) for rate in (*wide.rates, *own.rates)}
    assert both.monthly == (wide.monthly if own.monthly is None else own.monthly)


def test_subjects_are_named_by_what_they_are() -> None:
    assert read_subject(subject(Level.KEY, "k:1")) == (Level.KEY, "k:1")
    for wrong in ("key", "key:", "colour:red", ""):
        with pytest.raises(ValueError, match=r".+"):
            read_subject(wrong)


def test_notice_is_given_at_shares_and_at_an_amount_and_never_of_nothing() -> None:
    five = Limits(monthly=Money.euro(5), monthly_notice=Money.euro(4), notice_percents=(50, 80, 100))
    assert notice_amounts(five) == [Money.euro("2.5"), Money.euro(4), Money.euro(5)]
    assert notice_amounts(Limits(monthly=ZERO, monthly_notice=ZERO)) == []
    assert notice_amounts(NO_LIMITS) == []
    assert all(notice_amounts(tier.limits) for tier in FIRST_TIERS if tier.limits != NO_LIMITS)


# ------------------------------------------------------------------------------------------------- the forecast

days = st.lists(st.integers(0, 10**15).map(Money), min_size=1, max_size=MONTH_DAYS)


@given(days, st.integers(0, DAY_MS - 1))
def test_no_less_is_expected_than_was_spent_and_at_the_end_nothing_more(spent: list[Money], of_today_ms: int) -> None:
    elapsed, month = (len(spent) - 1) * DAY_MS + of_today_ms, MONTH_DAYS * DAY_MS
    so_far = sum(spent, ZERO)
    assert forecast(spent, elapsed, month) >= so_far
    assert forecast(spent, month, month) == so_far


@given(st.integers(1, MONTH_DAYS), st.integers(0, 10**15))
def test_what_goes_on_evenly_is_expected_to_the_last_pico_euro(day: int, daily: int) -> None:
    assert forecast([Money(daily)] * day, day * DAY_MS, MONTH_DAYS * DAY_MS) == Money(daily * MONTH_DAYS)


@given(days)
def test_only_the_last_week_says_how_it_goes_on(spent: list[Money]) -> None:
    """What was spent before is added, and changes nothing of what is to come."""
    quiet = [ZERO] * PACE_DAYS
    elapsed = (len(spent) + PACE_DAYS) * DAY_MS
    assert forecast([*spent, *quiet], elapsed, elapsed + 5 * DAY_MS) == sum(spent, ZERO)


def test_the_first_minute_of_a_month_promises_no_fortune() -> None:
    assert forecast([Money(10)], 60_000, 100 * HOUR_MS) < Money(10 * 101)
