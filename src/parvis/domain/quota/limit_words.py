"""Limits as people write them: a plain name for each, and amounts of money as decimal euro.

{"requests_per_minute": 60, "concurrent_requests": 4, "monthly_euro": "5", "notice_percents": [50, 100]}
"""

from collections.abc import Mapping
from typing import Any

from parvis.core.money import Money
from parvis.domain.quota.limit import NO_LIMITS, Limits, Metric, Rate, Window

RATES = {f"{metric}_per_{window}": (metric, window) for metric in Metric for window in Window}
CONCURRENT = "concurrent_requests"
MONTHLY = "monthly_euro"
NOTICE = "notice_euro"
PERCENTS = "notice_percents"
NAMES = (*RATES, CONCURRENT, MONTHLY, NOTICE, PERCENTS)
Words = dict[str, Any]


def in_words(limits: Limits) -> Words:
    """Those that are set, in the order of `NAMES`; the percents only where they are not the usual ones."""
    said: Words = {name_of(rate): rate.amount for rate in limits.rates}
    if limits.concurrent_max is not None:
        said[CONCURRENT] = limits.concurrent_max
    for name, amount in ((MONTHLY, limits.monthly), (NOTICE, limits.monthly_notice)):
        if amount is not None:
            said[name] = euro_text(amount)
    if limits.notice_percents != NO_LIMITS.notice_percents:
        said[PERCENTS] = list(limits.notice_percents)
    return {name: said[name] for name in NAMES if name in said}


def of_words(said: Mapping[str, Any]) -> Limits:
    """The other way; what is None or not there is not limited. Raises ValueError for what cannot be."""
    amounts = {name: value for name, value in said.items() if value is not None}
    if unknown := [name for name in amounts if name not in NAMES]:
        raise ValueError(f"{unknown[0]!r} is no limit")
    monthly, notice = (Money.euro(amounts[name]) if name in amounts else None for name in (MONTHLY, NOTICE))
    return Limits(
        tuple(Rate(*RATES[name], amounts[name]) for name in RATES if name in amounts),
        amounts.get(CONCURRENT),
        monthly,
        notice,
        tuple(sorted(set(amounts.get(PERCENTS, NO_LIMITS.notice_percents)))),
    )


def name_of(rate: Rate) -> str:
    """`requests_per_minute`."""
    return f"{rate.metric}_per_{rate.window}"


def euro_text(amount: Money) -> str:
    """`5`, `0.25`: without a sign of currency."""
    return str(amount).removesuffix(" €")
