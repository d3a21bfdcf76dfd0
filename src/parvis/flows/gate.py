"""All limits that requests of the same subjects pass, and a request that waits before them."""

import asyncio

from parvis.domain.quota.limit import Amounts
from parvis.domain.quota.share import PlaceShare, RateShare
from parvis.domain.quota.slices import Slice, Want
from parvis.flows.limit_texts import Reached


class Gate:
    """The shares that one request takes from."""

    __slots__ = ("places", "rates")

    def __init__(self, rates: tuple[RateShare, ...], places: tuple[PlaceShare, ...]) -> None:
        self.rates: tuple[RateShare, ...] = rates
        self.places: tuple[PlaceShare, ...] = places

    def take(self, most: Amounts, now_ns: int) -> bool:
        """Of every share, or of none."""
        for share in self.rates:
            units: int = most[share.metric]
            if units and share.ends_ns - now_ns < units * share.unit_ns:
                return False
        for place in self.places:
            if place.running >= place.held:
                return False
        for share in self.rates:
            units = most[share.metric]
            if units:
                share.ends_ns -= units * share.unit_ns
        for place in self.places:
            place.enter()
        return True

    def beyond(self, most: Amounts) -> Reached | None:
        """A rate that could never let so much pass at once."""
        for share in self.rates:
            if share.need(most) > share.amount:
                return Reached(share.bucket, share.rate, share.amount, share.need(most), None)
        return None


class Ask:
    """A request that waits for the owner of its limits. What there is in its shares it has reserved."""

    __slots__ = ("answer", "asked_ns", "gate", "missing", "most", "needed", "wants")

    def __init__(self, gate: Gate, most: Amounts, answer: "asyncio.Future[int]") -> None:
        self.gate: Gate = gate
        self.most: Amounts = most
        self.answer = answer
        """The instant at which it passed, or why it does not."""
        self.asked_ns: int = 0
        self.missing: list[int] = []
        self.needed: list[int] = []
        self.wants: list[Want] = []

    def reserve(self, now_ns: int) -> None:
        """Use what is there; what is missing becomes wants, of rates and then of places."""
        self.asked_ns = now_ns
        for share in self.gate.rates:
            missing = share.reserve(share.need(self.most), now_ns)
            self.missing.append(missing)
            if missing:
                self.wants.append(share.want(missing, now_ns))
        for place in self.gate.places:
            place.enter()
            self.needed.append(place.running if place.running > place.held else 0)
            if place.running > place.held:
                self.wants.append(place.want())

    def take(self, slices: list[Slice], now_ns: int) -> list[Reached]:
        """The answers to the wants. Those limits which do not let it pass; then nothing is reserved any more."""
        answers = iter(slices)
        reached: list[Reached] = []
        for share, missing in zip(self.gate.rates, self.missing, strict=True):
            if missing:
                answer = next(answers)
                if not share.take(answer, missing, self.asked_ns, now_ns):
                    reached.append(Reached(share.bucket, share.rate, share.amount, share.need(self.most), answer))
        for place, needed in zip(self.gate.places, self.needed, strict=True):
            if needed:
                answer = next(answers)
                if not place.take(answer, needed):
                    reached.append(Reached(place.bucket, None, place.places_max, 1, answer))
        if reached:
            self.undo({one.bucket for one in reached}, now_ns)
        return reached

    def undo(self, not_given: set[str], now_ns: int) -> None:
        """Put back what was reserved, and what was missing where it was given."""
        for share, missing in zip(self.gate.rates, self.missing, strict=True):
            units = share.need(self.most) - (missing if share.bucket in not_given else 0)
            if units:
                share.put(units, self.asked_ns, now_ns)
        for place in self.gate.places:
            place.running -= 1
