"""What a month will have cost when it ends, if it goes on as it went lately."""

from collections.abc import Sequence

from parvis.core.money import ZERO, Money

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
PACE_DAYS = 7
"""A week, so that working days and others have their share."""


def forecast(spent_by_day: Sequence[Money], elapsed_ms: int, month_ms: int) -> Money:
    """What is expected to be spent by the end of a month of `month_ms`, of which `elapsed_ms` have passed.

    `spent_by_day`: what was spent on each day (of UTC) so far, from the first to today, which has not ended. The pace
    is what was spent since the beginning of the sixth day before today (or of the month), divided by the time since
    then, at least an hour; the time that is left goes on at this pace. Whole pico-euro, rounded down.
    """
    lately = spent_by_day[-PACE_DAYS:]
    since_ms = (len(spent_by_day) - len(lately)) * DAY_MS
    pace_ms = max(elapsed_ms - since_ms, HOUR_MS)
    left_ms = max(month_ms - elapsed_ms, 0)
    coming = sum(lately, ZERO).pico_euro * left_ms // pace_ms
    return sum(spent_by_day, ZERO) + Money(coming)
