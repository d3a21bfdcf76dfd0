"""Rates, by the generic cell rate algorithm, in whole numbers.

A bucket of `amount` fills in one window. Its state is the time until it is full (`debt_ns`), which is the theoretical
arrival time of GCRA seen from now: what is taken makes it longer by one `interval_ns` a unit, time makes it shorter.

    used in any interval <= amount + amount * t / window

**Rounding.** The interval is the window divided by the amount, rounded up to a whole nanosecond. All else is addition
and subtraction of whole numbers. So a full bucket holds `amount` to the unit, and refills never faster than was said,
slower by one part in 600 at 100 million a minute and by none at most rates.

**Clocks.** Time is the owner's, and never runs backward here: a bucket that was seen later stands still until then. A
step forward fills it as the time would have.

**Giving back.** Of a part that was not used, `unused * interval - (time since it was taken)` may be put back. Follow
the bucket beside itself as if that part had never been taken. Just after the taking they differ by `unused * interval`.
What others take makes both longer alike. Time makes both shorter alike, unless the other one is full already: then the
difference shrinks, by no more than the time that passes. So what is put back is at most the difference, and the bucket
is never fuller than the one from which nothing was taken. In the same way a gateway's slice melts while it waits
(`parvis.flows.throttle`): what is left of it could have been taken now.
"""

from typing import NamedTuple

from parvis.domain.quota.limit import Rate
from parvis.domain.quota.slices import Slice, Unused, Want, surplus

_NS_PER_MS = 1_000_000
_NS_PER_US = 1_000


class Bucket(NamedTuple):
    """The state. None stands for a bucket that nobody has touched, which is full."""

    seen_us: int
    """The latest instant that the owner's clock has shown here."""
    debt_ns: int
    interval_ns: int
    """What one unit cost in it: when the rate changes, the units that were used stay used."""


def interval_ns(rate: Rate) -> int:
    """How long the bucket takes to refill by one."""
    return -(-rate.window.ms * _NS_PER_MS // rate.amount)


def take(state: Bucket | None, now_us: int, rate: Rate, want: Want) -> tuple[Bucket, Slice]:
    """At least what is needed or nothing; more where there is plenty (`slices.surplus`)."""
    bucket = _as_of(state, now_us, rate)
    seen_us, debt_ns, unit_ns = bucket
    left_ns = rate.amount * unit_ns - debt_ns
    missing_ns = want.at_least * unit_ns - left_ns
    if missing_ns > 0:
        return bucket, Slice(0, left_ns // unit_ns, _ms(debt_ns), _ms(missing_ns), seen_us)
    more = surplus(left_ns // unit_ns - want.at_least, rate.amount)
    granted = want.at_least + min(more, want.up_to - want.at_least)
    debt_ns += granted * unit_ns
    return Bucket(seen_us, debt_ns, unit_ns), Slice(
        granted, rate.amount - -(-debt_ns // unit_ns), _ms(debt_ns), 0, seen_us
    )


def give_back(state: Bucket | None, now_us: int, rate: Rate, unused: Unused) -> Bucket:
    """Put back what was taken and not used, less what would have come back by itself since.

    Nothing when it was taken at another rate: nobody knows any more what it is worth.
    """
    bucket = _as_of(state, now_us, rate)
    seen_us, debt_ns, unit_ns = bucket
    if unused.unit_ns != unit_ns:
        return bucket
    back_ns = unused.amount - max(seen_us - unused.taken_us, 0) * _NS_PER_US
    return Bucket(seen_us, debt_ns - min(max(back_ns, 0), debt_ns), unit_ns)


def _as_of(state: Bucket | None, now_us: int, rate: Rate) -> Bucket:
    """The bucket at this instant, or at the latest one that it has seen."""
    unit_ns = interval_ns(rate)
    if state is None:
        return Bucket(now_us, 0, unit_ns)
    passed_us = max(now_us - state.seen_us, 0)
    debt_ns = max(state.debt_ns - passed_us * _NS_PER_US, 0)
    if unit_ns != state.interval_ns:
        used = -(-debt_ns // state.interval_ns)
        debt_ns = min(used, rate.amount) * unit_ns
    return Bucket(state.seen_us + passed_us, debt_ns, unit_ns)


def _ms(ns: int) -> int:
    """Rounded up: who waits so long does not come too early."""
    return -(-ns // _NS_PER_MS)
