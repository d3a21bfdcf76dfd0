"""Limits without their owner: each gateway goes on with its part of what was left when it last heard of it."""

from parvis.domain.quota.gcra import Bucket, take
from parvis.domain.quota.limit import Amounts, Rate
from parvis.domain.quota.slices import Slice, Want
from parvis.flows.gate import Gate
from parvis.flows.limit_texts import Reached

_NS_PER_US = 1_000


class Divided:
    """Buckets of this gateway alone, each of a part of the limit, filled as far as the whole one was."""

    def __init__(self, gateways: int, since_ns: int) -> None:
        self._gateways: int = gateways
        self.since_ns: int = since_ns
        self._buckets: dict[str, Bucket] = {}

    def take(self, gate: Gate, most: Amounts, now_ns: int) -> list[Reached]:
        """Pass; or the limits that do not let it, and then nothing is taken."""
        taken: dict[str, Bucket] = {}
        reached: list[Reached] = []
        for share in gate.rates:
            needed = share.need(most)
            part = share.amount // self._gateways
            if needed > part:
                reached.append(Reached(share.bucket, share.rate, share.amount, needed, Slice(0, part, 0, 1000, 0)))
            elif needed:
                rate = Rate(share.rate.metric, share.rate.window, part)
                known = self._buckets.get(share.bucket)
                bucket = known or _first(rate, share.remaining(now_ns) // self._gateways, now_ns)
                want = Want(share.bucket, needed, needed)
                taken[share.bucket], answer = take(bucket, now_ns // _NS_PER_US, rate, want)
                if not answer.granted:
                    reached.append(Reached(share.bucket, share.rate, share.amount, needed, answer))
        reached += [
            Reached(place.bucket, None, place.places_max, 1, Slice(0, 0, 0, 0, 0))
            for place in gate.places
            if place.running >= max(place.held, place.places_max // self._gateways)
        ]
        if not reached:
            self._buckets |= taken
            for place in gate.places:
                place.enter()
        return reached


def _first(rate: Rate, left: int, now_ns: int) -> Bucket:
    """A bucket from which all but so much has been taken."""
    now_us = now_ns // _NS_PER_US
    gone = rate.amount - min(left, rate.amount)
    bucket, _ = take(None, now_us, rate, Want("", gone, gone))
    return bucket
