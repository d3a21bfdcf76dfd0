"""The engines' own counters against the ledger: tokens that somebody computed and nobody booked, or the other way."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from parvis.core.clock import Clock
from parvis.domain.fleet.replica import Replica
from parvis.domain.metering.comparison import Baseline, Comparison, Counters, compare, has_restarted
from parvis.flows.replica_store import ReplicaStore

SETTLE_S = 0.3
"""How long nothing must happen before counts are compared: what has just ended is booked by then."""
QUIET_S_MAX = 5.0
"""How long a comparison waits for requests that run."""


class CounterSource(Protocol):
    """Where engines tell what they counted."""

    async def read(self, replica: Replica) -> Counters | None:
        """Since it started; None where it does not say. Never raises Failure."""


@dataclass(frozen=True, slots=True)
class Uncompared:
    """A replica of which nothing can be said, and why."""

    replica_id: str
    reason: str


class EngineCounts:
    """Remembers where each replica's counters stood when it had nothing to do, and compares from there on."""

    def __init__(
        self,
        source: CounterSource,
        store: ReplicaStore,
        clock: Clock,
        replicas: Callable[[], Iterable[Replica]],
        open_requests: Callable[[], int],
    ) -> None:
        self._source = source
        self._store = store
        self._clock = clock
        self._replicas = replicas
        self._open_requests = open_requests
        self._baselines: dict[tuple[str, str], Baseline] = {}

    async def look(self) -> None:
        """Begin to count where that is possible now: at replicas that have nothing to do. Forget those that went."""
        present = {(one.replica_id, one.address): one for one in self._replicas()}
        self._baselines = {place: kept for place, kept in self._baselines.items() if place in present}
        for place, replica in present.items():
            if place not in self._baselines:
                since_unix_ms = self._clock.unix_ms()
                counters = await self._quiet(replica)
                if counters is not None and not counters.running:
                    self._baselines[place] = Baseline(counters, since_unix_ms)

    async def compare_all(self) -> list[Comparison | Uncompared]:
        """Each replica, sorted by id. Waits a while for requests that run; then says how many there are."""
        await self.look()
        found = await asyncio.gather(*(self._compare(replica) for replica in self._replicas()))
        return sorted(found, key=lambda one: one.replica_id)

    async def _compare(self, replica: Replica) -> Comparison | Uncompared:
        place = replica.replica_id, replica.address
        baseline = self._baselines.get(place)
        if baseline is None:
            told = await self._source.read(replica)
            reason = "it tells no counters that we know" if told is None else "it was never idle since control began"
            return Uncompared(replica.replica_id, reason)
        deadline_s = self._clock.monotonic_s() + QUIET_S_MAX
        while True:
            counters = await self._quiet(replica)
            booked = await self._store.booked_on(replica.replica_id, baseline.since_unix_ms)
            after = await self._source.read(replica)
            if counters is None or after is None:
                return Uncompared(replica.replica_id, "it does not answer")
            if has_restarted(baseline.counters, after):
                del self._baselines[place]
                return Uncompared(replica.replica_id, "it has restarted: counting begins anew")
            running = after.running + self._open_requests()
            if (counters == after and not running) or self._clock.monotonic_s() > deadline_s:
                return compare(replica.replica_id, baseline, after, booked, running)

    async def _quiet(self, replica: Replica) -> Counters | None:
        """Its counters after a while; with something running in them if it was not idle all the time."""
        before = await self._source.read(replica)
        if before is None:
            return None
        await asyncio.sleep(SETTLE_S)
        after = await self._source.read(replica)
        if after is None or (after == before and not self._open_requests()):
            return after
        return after._replace(running=max(after.running, 1))
