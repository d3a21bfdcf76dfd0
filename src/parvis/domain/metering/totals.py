"""Sums of usage, as reports ask for them. A day is a day of UTC, counted from 1970-01-01."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal

from parvis.core.money import ZERO, Money
from parvis.core.quantities import NO_UNITS, Units
from parvis.core.tokens import TokenCount
from parvis.domain.metering.records import UsageRecord

GroupBy = Literal["tenant", "project", "user", "tag", "key", "model", "day"]
"""What a report can be split by. A key's project, owner and tags are those that it has now.

A key with two tags counts in both, one without any under the empty one: split by tags, groups add up to more than all.
"""

DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class UsageTotal:
    """The sum over one group. `group` has a text for each name grouped by; a day is `2026-07-14`."""

    group: tuple[str, ...]
    requests: int
    tokens: TokenCount
    billed: Money
    written_off: Money
    estimated_requests: int
    """How many of the requests have a count that no engine gave."""
    units: Units = NO_UNITS
    """What was used beside tokens."""


@dataclass(frozen=True, slots=True)
class UsagePage:
    """Requests, newest first. `after` asks for the next page; None means that there is none."""

    records: tuple[UsageRecord, ...]
    after: str | None


def day_of(unix_ms: int) -> int:
    """Days since the epoch."""
    return unix_ms // DAY_MS


def day_text(day: int) -> str:
    """`2026-07-14`."""
    return (_EPOCH + timedelta(days=day)).isoformat()


def add_up(totals: Iterable[UsageTotal], group: tuple[str, ...] = ()) -> UsageTotal:
    """The sum of some groups, under the name of one."""
    groups = list(totals)
    return UsageTotal(
        group=group,
        requests=sum(total.requests for total in groups),
        tokens=TokenCount(*(sum(counts) for counts in zip(*(total.tokens for total in groups), strict=True))),
        billed=sum((total.billed for total in groups), ZERO),
        written_off=sum((total.written_off for total in groups), ZERO),
        estimated_requests=sum(total.estimated_requests for total in groups),
        units=Units(*(sum(counts) for counts in zip(*(total.units for total in groups), strict=True))),
    )


def by_tags(
    totals: Iterable[UsageTotal], key_at: int, tags: Mapping[str, tuple[str, ...]], *, keep_key: bool
) -> list[UsageTotal]:
    """Totals that were split by key, split by the tags of keys, sorted.

    Where the key stood in a group, its tag stands; `keep_key` puts the tag before it.
    """
    sums: dict[tuple[str, ...], UsageTotal] = {}
    for total in totals:
        key_id = total.group[key_at]
        for tag in tags.get(key_id) or ("",):
            named = (tag, key_id) if keep_key else (tag,)
            group = (*total.group[:key_at], *named, *total.group[key_at + 1 :])
            so_far = sums.get(group)
            sums[group] = replace(total, group=group) if so_far is None else add_up((so_far, total), group)
    return [sums[group] for group in sorted(sums)]
