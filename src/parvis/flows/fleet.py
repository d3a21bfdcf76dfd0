"""The replicas that this gateway may use, and how many requests it has on each."""

from collections import Counter

from parvis.core.errors import EngineUnavailable
from parvis.domain.fleet.replica import Replica
from parvis.domain.fleet.routing import eligible, pick


class LocalFleet:
    """The `Fleet` of a gateway: it owns the counts, `domain.fleet.routing` decides."""

    def __init__(self) -> None:
        self._known: frozenset[str] = frozenset()
        self._by_engine: dict[str, list[Replica]] = {}
        self._in_flight: Counter[str] = Counter()

    def load(self, replicas: tuple[Replica, ...]) -> None:
        """Replace the list; requests under way keep their guard by the replica's id."""
        self._known = frozenset(replica.replica_id for replica in replicas)
        engines = {replica.engine for replica in replicas}
        self._by_engine = {engine: eligible(replicas, engine) for engine in engines}

    def pick(self, engine: str, tried: frozenset[str]) -> Replica:
        """See the port."""
        candidates = self._by_engine.get(engine, [])
        if len(candidates) > 1:
            candidates.append(candidates.pop(0))  # ties go round
        replica = pick(candidates, self._in_flight, tried)
        if replica is None:
            raise EngineUnavailable("No engine can take this request right now. Try again shortly.", retry_after_s=2)
        self._in_flight[replica.replica_id] += 1
        return replica

    def release(self, replica: Replica) -> None:
        self._in_flight[replica.replica_id] -= 1

    def uses(self, replica_id: str) -> bool:
        """Whether a request is on this replica, or one may still come to it."""
        return replica_id in self._known or self._in_flight[replica_id] > 0

    @property
    def in_flight(self) -> int:
        return self._in_flight.total()
