"""The gateway's rates and places: shares of limits, leased from their owner in slices and used in memory.

A request that its shares cover asks nobody. One that they do not cover waits for the owner, and so do those that come
meanwhile (`rate_trade`). What a share holds melts, so that all gateways together never let more pass than the limit
(`domain.quota.share`). What is near its end is not handed out ahead of need, and what was not used of it goes back at
once; else it goes back after two seconds without use.

When the owner does not answer, limits are divided (`divided`): each gateway goes on with its part of what was left,
for as long as what it knows of keys is not too old. After an outage a bucket may so have given once more what it holds,
and no more.
"""

from collections.abc import Callable

from parvis.core.clock import Clock
from parvis.domain.quota.limit import Amounts, Limits, Rate
from parvis.domain.quota.share import PlaceShare, RateShare
from parvis.domain.quota.slices import places_bucket, rate_bucket
from parvis.flows.gate import Gate
from parvis.flows.hold import FREE, Passage, RateState
from parvis.flows.limit_texts import refusal
from parvis.flows.ports import LimitBook
from parvis.flows.rate_trade import RateSource, Trader

HASTE_NS_PER_S = 1_010_000_000
"""For shares our clock runs by a hundredth too fast, so that they never melt too slowly."""
GATES_MAX = 20_000
_NS_PER_MS = 1_000_000


class LeasedThrottle:
    """The `Throttle` of a gateway."""

    def __init__(self, source: RateSource, clock: Clock) -> None:
        self._clock = clock
        self._trader = Trader(source, self._now_ns)
        self._limits_of: Callable[[str], Limits | None] = _no_limits
        self._gates: dict[tuple[str, ...], Gate] = {}
        self._rates: dict[str, RateShare] = {}
        self._places: dict[str, PlaceShare] = {}

    def learn(self, limits: LimitBook) -> None:
        """Where limits in force are found from now on."""
        self._limits_of = limits.get
        self.forget()

    def forget(self) -> None:
        """Limits have changed: they are looked up again. Shares are kept."""
        self._gates.clear()

    @property
    def divided(self) -> bool:
        """Whether the owner is away, so that this gateway goes on with its part of the limits."""
        return self._trader.divided

    async def enter(self, subjects: tuple[str, ...], most: Amounts) -> Passage:
        """See the port."""
        gate = self._gates.get(subjects)
        if gate is None:
            gate = self._open(subjects)
        if not gate.rates and not gate.places:
            return FREE
        now_ns = self._now_ns()
        if not gate.take(most, now_ns):
            beyond = gate.beyond(most)
            if beyond is not None:
                raise refusal([beyond])
            now_ns = await self._trader.ask(gate, most)
        return self._passage(gate, subjects, most, now_ns)

    def leave(self, passage: Passage, used: Amounts) -> None:
        """See the port."""
        gate = passage.gate
        if isinstance(gate, Gate):
            self._trader.put_back(gate, passage.most, used, int(passage.entered_s * HASTE_NS_PER_S))

    def _passage(self, gate: Gate, subjects: tuple[str, ...], most: Amounts, at_ns: int) -> Passage:
        """With the tightest limits of each kind, as they stand after it."""
        requests: RateShare | None = None
        tokens: RateShare | None = None
        requests_left = tokens_left = 0
        for share in gate.rates:
            left = share.remaining(at_ns)
            if share.is_requests:
                if requests is None or left < requests_left:
                    requests, requests_left = share, left
            elif tokens is None or left < tokens_left:
                tokens, tokens_left = share, left
            if share.ends_ns - at_ns < share.low_ns:
                self._trader.fetch_ahead(share)
        return Passage(
            subjects,
            most,
            at_ns / HASTE_NS_PER_S,
            None if requests is None else RateState(requests.amount, requests_left, _reset_ms(requests, at_ns)),
            None if tokens is None else RateState(tokens.amount, tokens_left, _reset_ms(tokens, at_ns)),
            gate,
        )

    def _open(self, subjects: tuple[str, ...]) -> Gate:
        """The gate of these subjects, made of the limits in force."""
        if len(self._gates) >= GATES_MAX:
            self._tidy()
        rates: list[RateShare] = []
        places: list[PlaceShare] = []
        for subject in subjects:
            limits = self._limits_of(subject)
            if limits is not None:
                rates += [self._rate(rate_bucket(subject, rate), rate) for rate in limits.rates]
            if limits is not None and limits.concurrent_max is not None:
                places.append(self._place(places_bucket(subject), limits.concurrent_max))
        gate = Gate(tuple(rates), tuple(places))
        self._gates[subjects] = gate
        return gate

    def _rate(self, bucket: str, rate: Rate) -> RateShare:
        share = self._rates.get(bucket)
        if share is None:
            share = self._rates[bucket] = RateShare(bucket, rate)
        elif share.rate != rate:
            share.change(rate, self._now_ns())
        return share

    def _place(self, bucket: str, places_max: int) -> PlaceShare:
        place = self._places.get(bucket)
        if place is None:
            place = self._places[bucket] = PlaceShare(bucket, places_max)
        place.places_max = places_max
        return place

    def _tidy(self) -> None:
        """Too many have come by. What holds nothing is made anew when it is needed."""
        now_ns = self._now_ns()
        self._gates.clear()
        self._rates = {bucket: share for bucket, share in self._rates.items() if share.free(now_ns)}
        self._places = {bucket: place for bucket, place in self._places.items() if place.held or place.running}

    def _now_ns(self) -> int:
        return int(self._clock.monotonic_s() * HASTE_NS_PER_S)


def _no_limits(_subject: str) -> Limits | None:
    return None


def _reset_ms(share: RateShare, at_ns: int) -> int:
    return -(-share.debt_ns(at_ns) // _NS_PER_MS)
