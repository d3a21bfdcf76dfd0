"""When a key's secret is due to be followed by the next one. Times are milliseconds since the epoch."""

from dataclasses import dataclass
from enum import StrEnum

DAY_MS = 86_400_000


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


def standing(schedule: Schedule, made_unix_ms: int, old_ends_unix_ms: int | None, now_unix_ms: int) -> Standing:
    """Where a key stands whose newest secret was made then, and whose older one (if it has one) ends then."""
    if old_ends_unix_ms is not None and now_unix_ms < old_ends_unix_ms:
        return Standing(Phase.OVERLAP, old_ends_unix_ms)
    due = made_unix_ms + schedule.every_ms
    steps = (
        (Phase.CURRENT, due - schedule.notice_ms),
        (Phase.NOTICE, due),
        (Phase.DUE, due + schedule.grace_ms),
    )
    for phase, ends in steps:
        if now_unix_ms < ends:
            return Standing(phase, ends)
    return Standing(Phase.EXPIRED, None)
