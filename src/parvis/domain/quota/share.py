"""What one gateway holds of the limits of many: shares that it uses in memory.

A share of a rate melts: while it waits, its owner's bucket refills, and both together would be more than the limit. So
of a share that was taken a while ago only so much counts as could be taken now (`gcra` has the reason). All instants
here are of one clock, which never steps; it may run fast, never slow.
"""

from parvis.domain.quota.gcra import interval_ns
from parvis.domain.quota.limit import Amounts, Metric, Rate
from parvis.domain.quota.slices import Slice, Unused, Want, surplus

_NS_PER_MS = 1_000_000
AHEAD_NS = 500_000_000
"""A share is asked for that lasts so long at the pace of the last use."""
PACE_NS_MIN = 20_000_000
"""No pace is measured over less."""
_METRICS = {metric: place for place, metric in enumerate((Metric.REQUESTS, Metric.INPUT_TOKENS, Metric.OUTPUT_TOKENS))}


class RateShare:
    """Of one bucket. `ends_ns` is when it will have melted away if nobody uses it, so its worth shrinks with time."""

    __slots__ = (
        "amount",
        "answered_ns",
        "asked_ns",
        "bucket",
        "ends_ns",
        "filled_ns",
        "full_ns",
        "is_requests",
        "low_ns",
        "metric",
        "rate",
        "scarce",
        "taken_us",
        "unit_ns",
    )

    def __init__(self, bucket: str, rate: Rate) -> None:
        self.bucket: str = bucket
        self.ends_ns: int = 0
        self.full_ns: int = 0
        """When the owner's bucket will be full, as far as we know."""
        self.asked_ns: int = 0
        self.answered_ns: int = 0
        self.taken_us: int = 0
        self.filled_ns: int = 0
        """`ends_ns` as it was then."""
        self.low_ns: int = 0
        """With less than this, more is fetched ahead."""
        self.scarce: bool = True
        """Others may need what we do not use."""
        self.change(rate, 0)

    def change(self, rate: Rate, now_ns: int) -> None:
        """The rate is another one. As many units are held as before."""
        units = 0 if self.ends_ns == 0 else self.free(now_ns)
        self.rate: Rate = rate
        self.amount: int = rate.amount
        self.unit_ns: int = interval_ns(rate)
        self.metric: int = _METRICS[rate.metric]
        self.is_requests: bool = rate.metric is Metric.REQUESTS
        self.ends_ns = now_ns + units * self.unit_ns
        self.filled_ns = self.ends_ns
        self.low_ns = 0

    def need(self, most: Amounts) -> int:
        """How many units a request takes."""
        units: int = most[self.metric]
        return units

    def free(self, now_ns: int) -> int:
        """Units that can be used now."""
        return max(self.ends_ns - now_ns, 0) // self.unit_ns

    def holds(self, now_ns: int) -> bool:
        """Whether there is anything that could go back, a part of a unit at least."""
        return self.ends_ns > now_ns

    def remaining(self, now_ns: int) -> int:
        """Units that are left for anybody and for us, by what the owner said last."""
        return max(self.amount - -(-self.debt_ns(now_ns) // self.unit_ns), 0)

    def debt_ns(self, now_ns: int) -> int:
        """Until the bucket would be full, if we gave back what is free."""
        return max(max(self.full_ns - now_ns, 0) - max(self.ends_ns - now_ns, 0), 0)

    def reserve(self, units: int, now_ns: int) -> int:
        """Use what is there of so many; how many are missing."""
        there = min(units, self.free(now_ns))
        self.ends_ns -= there * self.unit_ns
        return units - there

    def want(self, missing: int, now_ns: int) -> Want:
        """What to ask for: what is missing, and some for those who come next."""
        passed_ns = max(now_ns - self.asked_ns, PACE_NS_MIN)
        used_ns = max(self.filled_ns - self.ends_ns, 0)
        ahead_ns = used_ns * AHEAD_NS // passed_ns + AHEAD_NS
        return Want(self.bucket, missing, missing + max(ahead_ns // self.unit_ns, missing))

    def take(self, slice_: Slice, missing: int, asked_ns: int, now_ns: int) -> bool:
        """The answer: whether what was missing is there. What is more has melted since it was asked for."""
        self.asked_ns, self.answered_ns, self.taken_us = asked_ns, now_ns, slice_.at_us
        self.full_ns = now_ns + slice_.full_ms * _NS_PER_MS
        self.scarce = surplus(slice_.remaining, self.amount) == 0
        more_ns = max(slice_.granted - missing, 0) * self.unit_ns
        self.ends_ns = max(self.ends_ns, asked_ns) + more_ns
        self.filled_ns = self.ends_ns
        self.low_ns = more_ns // 2
        return slice_.granted >= missing

    def put(self, units: int, since_ns: int, now_ns: int) -> bool:
        """Units that were taken then and not used; whether anything of them is left by now."""
        worth_ns = units * self.unit_ns - (now_ns - since_ns)
        if worth_ns <= 0:
            return False
        self.ends_ns = max(self.ends_ns, now_ns) + worth_ns
        return True

    def give_up(self, now_ns: int) -> Unused | None:
        """All that is free, for its owner; None when there is nothing.

        It is told as of the last answer. Since then the owner's clock has not passed less than 0.96 of ours, so that
        what the owner takes off for the time is never less than what has melted.
        """
        worth_ns = self.ends_ns - now_ns
        if worth_ns <= 0:
            return None
        self.ends_ns = now_ns
        amount_ns = worth_ns + (now_ns - self.answered_ns) * 24 // 25
        return Unused(self.bucket, amount_ns, self.taken_us, self.unit_ns)


class PlaceShare:
    """Of the places for requests at a time. They do not melt."""

    __slots__ = ("bucket", "held", "peak", "places_max", "running", "scarce")

    def __init__(self, bucket: str, places_max: int) -> None:
        self.bucket: str = bucket
        self.places_max: int = places_max
        self.held: int = 0
        """What the owner has given us, those included that are in use."""
        self.running: int = 0
        self.peak: int = 0
        """The most that ran since somebody looked."""
        self.scarce: bool = True

    def enter(self) -> None:
        """One more runs, or is about to."""
        self.running += 1
        self.peak = max(self.peak, self.running)

    def want(self) -> Want:
        """Room for those that run or are about to, and for as many again."""
        return Want(self.bucket, self.running, self.running * 2)

    def take(self, slice_: Slice, needed: int) -> bool:
        """The answer: whether there are as many as were needed."""
        self.held = slice_.granted
        self.scarce = surplus(slice_.remaining, self.places_max) == 0
        return slice_.granted >= needed

    def give_up(self) -> Unused:
        """Keep only what is in use."""
        self.held = min(self.held, self.running)
        return Unused(self.bucket, self.held)
