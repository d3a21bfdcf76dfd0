"""The fleet of this moment, as people look at it: pools, replicas, and who asks most."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from parvis.core.money import ZERO, Money
from parvis.domain.fleet.replica import Replica, ReplicaState
from parvis.domain.metering.lately import Done

TALKERS_MAX = 20


@dataclass(frozen=True, slots=True)
class Sight:
    """How all gateways together see one replica."""

    state: str
    """`open`, `closed`, `partly`, `returning` or `unseen`."""
    why: str
    in_flight: int
    first_byte_ms: int
    """Lately, on average; 0 while nobody knows."""


@dataclass(frozen=True, slots=True)
class ReplicaNow:
    """One replica. `state` is that of operator and machine unless it is ready; then it is how gateways see it."""

    replica_id: str
    state: str
    why: str
    since_unix_ms: int
    """When it came into this state, as far as this control has seen."""
    in_flight: int
    slots: int
    """0: nobody said."""
    tokens_per_s: float
    first_byte_ms: int


@dataclass(frozen=True, slots=True)
class PoolNow:
    """One pool: its replicas, and what waits for them at all gateways."""

    pool: str
    open: int
    """Replicas that take requests."""
    in_flight: int
    slots: int
    waiting: int
    tokens_per_s: float
    """Of replicas that have gone since, too."""
    replicas: tuple[ReplicaNow, ...]


@dataclass(frozen=True, slots=True)
class TalkerNow:
    """A tenant, and what of its ended lately."""

    tenant_id: str
    requests_per_s: float
    tokens_per_s: float
    per_hour: Money


@dataclass(frozen=True, slots=True)
class FleetNow:
    """All of it."""

    at_unix_ms: int
    gateways: tuple[str, ...]
    span_ms: int
    """The time that rates are of: of requests that ended in it."""
    requests_per_s: float
    tokens_per_s: float
    per_hour: Money
    pools: tuple[PoolNow, ...]
    talkers: tuple[TalkerNow, ...]
    """The tenants with the most tokens, at most `TALKERS_MAX`."""


def no_fleet() -> FleetNow:
    """The fleet of who has none."""
    return FleetNow(0, (), 1, 0.0, 0.0, ZERO, (), ())


class Sightings:
    """Since when each replica is in its state. Asked once a second, or when somebody looks."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[str, int]] = {}

    def since(self, replica_id: str, state: str, now_unix_ms: int) -> int:
        """The instant at which it was first seen so."""
        known, since = self._since.get(replica_id, ("", 0))
        if known != state:
            since = now_unix_ms
            self._since[replica_id] = state, since
        return since

    def forget(self, known: Sequence[Replica]) -> None:
        """Only these are there now."""
        ids = {replica.replica_id for replica in known}
        self._since = {replica_id: seen for replica_id, seen in self._since.items() if replica_id in ids}


def replica_now(
    replica: Replica, sight: Sight, done: Done, span_ms: int, since: Callable[[str, str], int]
) -> ReplicaNow:
    """One replica, from what everybody knows of it."""
    state = sight.state if replica.state is ReplicaState.READY else str(replica.state)
    return ReplicaNow(
        replica.replica_id,
        state,
        sight.why or replica.why,
        since(replica.replica_id, state),
        sight.in_flight,
        replica.slots,
        per_second(done.tokens, span_ms),
        sight.first_byte_ms,
    )


def pools_now(
    replicas: Sequence[tuple[str, ReplicaNow]],
    waiting: Collection[Mapping[str, int]],
    departed: Mapping[str, float] = MappingProxyType({}),
) -> tuple[PoolNow, ...]:
    """The pools of these replicas, by name, and what waits for each at the gateways.

    `departed`: tokens per second that replicas of a pool computed lately and have gone. Where a replica says no slots,
    those of its pool are unknown too.
    """
    pools: dict[str, list[ReplicaNow]] = {}
    for pool, replica in replicas:
        pools.setdefault(pool, []).append(replica)
    return tuple(
        _pool(pool, pools[pool], sum(one.get(pool, 0) for one in waiting), departed.get(pool, 0.0))
        for pool in sorted(pools)
    )


def talkers_now(done: Mapping[str, Done], span_ms: int) -> tuple[TalkerNow, ...]:
    """Who asks most, by tokens and then by requests."""
    first = sorted(done, key=lambda tenant: (-done[tenant].tokens, -done[tenant].requests, tenant))[:TALKERS_MAX]
    return tuple(
        TalkerNow(
            tenant,
            per_second(done[tenant].requests, span_ms),
            per_second(done[tenant].tokens, span_ms),
            per_hour(done[tenant], span_ms),
        )
        for tenant in first
    )


def per_second(count: int, span_ms: int) -> float:
    """A count of a span as a rate."""
    return count * 1000 / span_ms


def per_hour(done: Done, span_ms: int) -> Money:
    """What an hour like this would cost. An outlook, in whole pico-euro."""
    return Money(done.billed.pico_euro * 3_600_000 // span_ms)


def _pool(name: str, replicas: Sequence[ReplicaNow], waiting: int, departed_per_s: float) -> PoolNow:
    slots = [replica.slots for replica in replicas]
    return PoolNow(
        name,
        sum(replica.state in ("open", "partly", "returning") for replica in replicas),
        sum(replica.in_flight for replica in replicas),
        sum(slots) if all(slots) else 0,
        waiting,
        sum((replica.tokens_per_s for replica in replicas), departed_per_s),
        tuple(sorted(replicas, key=lambda replica: replica.replica_id)),
    )
