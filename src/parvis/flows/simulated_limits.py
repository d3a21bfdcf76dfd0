"""The owner of limits, inside a simulation: the real arithmetic, without a store and without a way to it."""

from parvis.core.clock import Clock
from parvis.domain.quota.gcra import Bucket, give_back, take
from parvis.domain.quota.limit import Level, Limits, Metric, Rate, Window, subject
from parvis.domain.quota.slices import Slice, Trade, Unused, Want, rate_bucket, subject_of

_US_PER_S = 1_000_000


class HeldLimits:
    """`RateSource` and `LimitBook` of all gateways: each tenant may use so many output tokens in an hour."""

    def __init__(self, output_tokens_per_hour: int, gateways: int, clock: Clock) -> None:
        self._rate = Rate(Metric.OUTPUT_TOKENS, Window.HOUR, output_tokens_per_hour)
        self._limits = Limits((self._rate,))
        self._gateways = gateways
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}

    @staticmethod
    def subjects(tenant_id: str) -> tuple[str, ...]:
        """Whose limits a request of this tenant is inside of."""
        return (subject(Level.CONTRACT, tenant_id),)

    def get(self, named: str, /) -> Limits | None:
        """See the port `LimitBook`."""
        return self._limits if named else None

    async def trade(self, unused: list[Unused], wants: list[Want]) -> Trade:
        """See the port `RateSource`."""
        now_us = int(self._clock.monotonic_s() * _US_PER_S)
        for back in unused:
            self._buckets[back.bucket] = give_back(self._buckets.get(back.bucket), now_us, self._rate, back)
        return Trade([self._take(want, now_us) for want in wants], self._gateways)

    def _take(self, want: Want, now_us: int) -> Slice:
        assert want.bucket == rate_bucket(subject_of(want.bucket), self._rate)  # noqa: S101 - there is no other limit
        self._buckets[want.bucket], slice_ = take(self._buckets.get(want.bucket), now_us, self._rate, want)
        return slice_
