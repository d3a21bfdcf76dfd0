"""When a key's secret is due to be followed by the next one. Times are milliseconds since the epoch."""

from dataclasses import dataclass
from enum import StrEnum

SECOND_MS = 1000
DAY_MS = 86_400_000
EVERY_MS_MIN = 60 * SECOND_MS
EVERY_MS_MAX = 3 * 366 * DAY_MS


@dataclass(frozen=True, slots=True)
class Schedule:
    """The next secret is due `every_ms` after the last was made; then each of them works for `overlap_ms` beside it.

    Whoever does not fetch the next one keeps the old one until `grace_ms` after it was due.
    """

    every_ms: int = 90 * DAY_MS
    overlap_ms: int = 7 * DAY_MS
    notice_ms: int = 14 * DAY_MS
    """How long before it is due its owners are told."""
    grace_ms: int = 14 * DAY_MS


UNSCHEDULED = Schedule()
"""Whose overlap and grace hold for keys without a schedule. What it says of due dates does not."""


class Phase(StrEnum):
    """Where a key stands in its rotation."""

    CURRENT = "current"
    NOTICE = "notice"
    """Due soon: the next secret may be fetched already."""
    DUE = "due"
    """Late: the old secret works until the grace ends."""
    OVERLAP = "overlap"
    """The next one was fetched; both work."""
    EXPIRED = "expired"
    """The grace is over and nobody fetched the next one."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Of one key, now. `next_unix_ms` is when its phase changes; None when it never does."""

    phase: Phase
    next_unix_ms: int | None


def schedule_faults(schedule: Schedule) -> list[str]:
    """One sentence for each span that cannot be."""
    faults = []
    if not EVERY_MS_MIN <= schedule.every_ms <= EVERY_MS_MAX:
        faults.append(
            "Secrets can follow one another every minute at the soonest, and every three years at the latest."
        )
    if not SECOND_MS <= schedule.overlap_ms < schedule.every_ms:
        faults.append("The overlap lasts a second at least, and is shorter than the time between two secrets.")
    if not 0 <= schedule.notice_ms < schedule.every_ms:
        faults.append(
            "The notice comes after the last secret was made: it is shorter than the time between two secrets."
        )
    if not SECOND_MS <= schedule.grace_ms <= EVERY_MS_MAX:
        faults.append("The grace lasts a second at least, and three years at most.")
    return faults
