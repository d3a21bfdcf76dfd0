"""What ended within the last minute: by whom it was computed, and for whom. Kept in memory, for who looks on."""

from collections import deque
from collections.abc import Iterable
from functools import reduce
from typing import NamedTuple

from parvis.core.money import ZERO, Money
from parvis.domain.metering.records import UsageRecord

SPAN_S = 60
BUCKET_S = 5
_MS_PER_S = 1000


class Done(NamedTuple):
    """A sum of requests that ended. Tokens are those of answers."""

    requests: int = 0
    tokens: int = 0
    billed: Money = ZERO

    def plus(self, other: "Done") -> "Done":
        return Done(self.requests + other.requests, self.tokens + other.tokens, self.billed + other.billed)


NOTHING = Done()


def sum_of(parts: Iterable[Done]) -> Done:
    """All of them together."""
    return reduce(Done.plus, parts, NOTHING)


class _Bucket:
    """Some seconds of it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.replicas: dict[str, Done] = {}
        self.tenants: dict[str, Done] = {}


class Lately:
    """Sums over the last `SPAN_S` seconds, to `BUCKET_S`. Times are milliseconds since the epoch."""

    def __init__(self, begun_unix_ms: int) -> None:
        self._begun_unix_ms = begun_unix_ms
        self._buckets: deque[_Bucket] = deque(maxlen=SPAN_S // BUCKET_S + 1)

    def note(self, records: Iterable[UsageRecord], now_unix_ms: int) -> None:
        """They were booked just now; what ended longer ago is passed over."""
        bucket = self._bucket(now_unix_ms)
        for started, settled in records:
            if now_unix_ms - started.started_unix_ms - settled.total_ms > SPAN_S * _MS_PER_S:
                continue
            tokens = settled.tokens.output + settled.tokens.reasoning
            done = Done(1, tokens, Money(settled.billed_pico_euro))
            bucket.replicas[started.replica_id] = bucket.replicas.get(started.replica_id, NOTHING).plus(done)
            bucket.tenants[started.tenant_id] = bucket.tenants.get(started.tenant_id, NOTHING).plus(done)

    def span_ms(self, now_unix_ms: int) -> int:
        """The time that the sums are of: the span, or less soon after the begin. At least one bucket."""
        return min(SPAN_S * _MS_PER_S, max(BUCKET_S * _MS_PER_S, now_unix_ms - self._begun_unix_ms))

    def of_replicas(self, now_unix_ms: int) -> dict[str, Done]:
        """By replica id, of those that ended something."""
        return self._sums([bucket.replicas for bucket in self._recent(now_unix_ms)])

    def of_tenants(self, now_unix_ms: int) -> dict[str, Done]:
        """By tenant id, the same."""
        return self._sums([bucket.tenants for bucket in self._recent(now_unix_ms)])

    def _bucket(self, now_unix_ms: int) -> _Bucket:
        number = now_unix_ms // (BUCKET_S * _MS_PER_S)
        if not self._buckets or self._buckets[-1].number != number:
            self._buckets.append(_Bucket(number))
        return self._buckets[-1]

    def _recent(self, now_unix_ms: int) -> list[_Bucket]:
        last = now_unix_ms // (BUCKET_S * _MS_PER_S)
        return [bucket for bucket in self._buckets if 0 <= last - bucket.number < SPAN_S // BUCKET_S]

    @staticmethod
    def _sums(parts: list[dict[str, Done]]) -> dict[str, Done]:
        sums: dict[str, Done] = {}
        for part in parts:
            for name, done in part.items():
                sums[name] = sums.get(name, NOTHING).plus(done)
        return sums
