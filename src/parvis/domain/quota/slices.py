"""Parts of a limit that its owner hands to gateways: so much of a rate's bucket, so many places.

A bucket has the same name everywhere: `key:3f9c…|requests|minute`. Places, for requests at a time, are called
`key:3f9c…|concurrent`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from parvis.domain.quota.limit import Limits, Rate

_PLACES = "concurrent"


class Want(NamedTuple):
    """What a gateway asks of one bucket: all of `at_least` or nothing, and up to `up_to` where there is plenty.

    Places are counted whole: how many the gateway would hold after it, those that it has included.
    """

    bucket: str
    at_least: int
    up_to: int


class Slice(NamedTuple):
    """The answer to a `Want`."""

    granted: int
    remaining: int
    """What is left for anybody after it."""
    full_ms: int
    """Until the bucket is full again, if nobody takes more. Zero for places."""
    wait_ms: int
    """Until what was needed is there. Zero when it was granted; for places nobody knows."""
    at_us: int
    """When it was taken, on the owner's clock."""


class Unused(NamedTuple):
    """What a gateway gives back of a slice."""

    bucket: str
    amount: int
    """Of a rate: by how many ns sooner its bucket would be full, so that parts of a unit count. Of places: how many it
    still holds."""
    taken_us: int = 0
    """`at_us` of the slice."""
    unit_ns: int = 0
    """How many ns one unit was, when this was worked out."""


class Trade(NamedTuple):
    """What the owner answers to one gateway at once."""

    slices: list[Slice]
    """One for each want, in the same order."""
    gateways: int
    """How many share the limits now."""


class Limited(NamedTuple):
    """A `Want` with the limit that it stands under. Neither rate nor places: the limit is gone, and all is granted."""

    want: Want
    rate: Rate | None
    places_max: int | None


class Returned(NamedTuple):
    """An `Unused` with its rate; without one these are places."""

    unused: Unused
    rate: Rate | None


def rate_bucket(subject: str, rate: Rate) -> str:
    """The name of a rate's bucket."""
    return f"{subject}|{rate.metric}|{rate.window}"


def places_bucket(subject: str) -> str:
    """The name under which places are held."""
    return f"{subject}|{_PLACES}"


def subject_of(bucket: str) -> str:
    """Whose limit it is."""
    return bucket.partition("|")[0]


def is_places(bucket: str) -> bool:
    """Whether places are called so, and not a rate's bucket."""
    return bucket.partition("|")[2] == _PLACES


def rate_of(bucket: str, limits: Limits) -> Rate | None:
    """The rate of this bucket among the limits of its subject; None when it has gone."""
    subject = subject_of(bucket)
    return next((rate for rate in limits.rates if rate_bucket(subject, rate) == bucket), None)


def limited(want: Want, limits: Limits) -> Limited:
    """A want, under the limits of its subject."""
    places_max = limits.concurrent_max if is_places(want.bucket) else None
    return Limited(want, rate_of(want.bucket, limits), places_max)


def allow(want: Want, at_us: int) -> Slice:
    """Where there is no limit any more."""
    return Slice(want.up_to, want.up_to, 0, 0, at_us)


def take_places(held: int, others: Sequence[int], places_max: int, want: Want, at_us: int) -> Slice:
    """How many places a gateway holds from now on, of which it holds `held`, and each other as many as it holds.

    More than it needs it gets while most are free: a share of what is beyond half of them.
    """
    free = places_max - sum(others)
    if want.at_least > free:
        return Slice(held, max(free - held, 0), 0, 0, at_us)
    granted = want.at_least + min(surplus(free - want.at_least, places_max), want.up_to - want.at_least)
    return Slice(granted, free - granted, 0, 0, at_us)


SURPLUS_SHARE = 32
"""One gateway is given ahead of need at most this part of what is there beyond half of a limit."""


def surplus(left: int, whole: int) -> int:
    """How much is given ahead of need at most, of what is left of a limit. Nothing below half, or of a small limit."""
    return max(left - whole // 2, 0) // SURPLUS_SHARE
