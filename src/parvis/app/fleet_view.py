"""What control knows of the fleet at this moment, put together for who looks on."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from parvis.adapters.link.messages import Backlog
from parvis.app.fleet_seen import FleetBook
from parvis.core.clock import Clock
from parvis.domain.fleet.replica import Replica
from parvis.domain.metering.lately import NOTHING, Done, Lately, sum_of
from parvis.domain.metering.records import UsageRecord
from parvis.flows.overview import (
    FleetNow,
    ReplicaNow,
    Sight,
    Sightings,
    per_hour,
    per_second,
    pools_now,
    replica_now,
    talkers_now,
)


class FleetView:
    """Hears what is booked and what waits; shows all of it when asked."""

    def __init__(self, clock: Clock, book: FleetBook, replicas: Callable[[], Sequence[Replica]]) -> None:
        self._clock = clock
        self._book = book
        self._replicas = replicas
        self._lately = Lately(clock.unix_ms())
        self._sightings = Sightings()
        self._waiting: dict[str, dict[str, int]] = {}
        self._pools: dict[str, str] = {}
        """Of replicas that are there, and of those that have gone while what they did lately still counts."""

    def booked(self, records: Iterable[UsageRecord]) -> None:
        """These requests have ended."""
        self._lately.note(records, self._clock.unix_ms())

    def backlog(self, gateway: str, told: Backlog) -> None:
        """What waits at a gateway."""
        self._waiting[gateway] = {one.pool: one.waiting for one in told.pools}

    def gone(self, gateway: str) -> None:
        """Nothing waits there any more."""
        self._waiting.pop(gateway, None)

    def looked(self) -> None:
        """Something may have changed: remember since when."""
        now = self._clock.unix_ms()
        self._sightings.forget(self._replicas())
        self._seen({}, 1, now)
        self._remember(self._lately.of_replicas(now))

    def show(self, gateways: Sequence[str]) -> FleetNow:
        """All of it, now."""
        now = self._clock.unix_ms()
        span_ms, by_tenant = self._lately.span_ms(now), self._lately.of_tenants(now)
        done, by_replica = sum_of(by_tenant.values()), self._lately.of_replicas(now)
        departed = self._remember(by_replica)
        return FleetNow(
            now,
            tuple(gateways),
            span_ms,
            per_second(done.requests, span_ms),
            per_second(done.tokens, span_ms),
            per_hour(done, span_ms),
            pools_now(
                self._seen(by_replica, span_ms, now),
                self._waiting.values(),
                {pool: per_second(tokens, span_ms) for pool, tokens in departed.items()},
            ),
            talkers_now(by_tenant, span_ms),
        )

    def _remember(self, done: Mapping[str, Done]) -> Counter[str]:
        """Which pool each replica is of; tokens of those that have gone, by pool."""
        here = {one.replica_id: one.engine for one in self._replicas()}
        self._pools = {one: pool for one, pool in (self._pools | here).items() if one in here or one in done}
        departed: Counter[str] = Counter()
        for replica_id in self._pools.keys() - here.keys():
            departed[self._pools[replica_id]] += done[replica_id].tokens
        return departed

    def _seen(self, done: Mapping[str, Done], span_ms: int, now_unix_ms: int) -> list[tuple[str, ReplicaNow]]:
        """Each replica with its pool."""

        def since(replica_id: str, state: str) -> int:
            return self._sightings.since(replica_id, state, now_unix_ms)

        return [
            (one.engine, replica_now(one, self._sight(one), done.get(one.replica_id, NOTHING), span_ms, since))
            for one in self._replicas()
        ]

    def _sight(self, replica: Replica) -> Sight:
        seen = self._book.of(replica.replica_id)
        return Sight(seen.state, replica.why or seen.why, seen.in_flight, seen.first_byte_ms)
