"""Sums of usage, as reports ask for them. A day is a day of UTC, counted from 1970-01-01."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from parvis.core.money import Money
from parvis.core.tokens import TokenCount
from parvis.domain.metering.records import UsageRecord

GroupBy = Literal["tenant", "key", "model", "day"]
"""What a report can be split by."""

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
