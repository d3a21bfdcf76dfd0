"""Filter, score, pick: which replica takes a request. Pure; the caller keeps the counts."""

from collections.abc import Mapping, Sequence

from parvis.domain.fleet.replica import Replica, ReplicaState


def eligible(replicas: Sequence[Replica], engine: str, tried: frozenset[str]) -> list[Replica]:
    """Filter: ready, serving this engine, not tried yet for this request."""
    return [
        replica
        for replica in replicas
        if replica.state is ReplicaState.READY and replica.engine == engine and replica.replica_id not in tried
    ]


def pick(candidates: Sequence[Replica], in_flight: Mapping[str, int]) -> Replica | None:
    """Pick the least loaded for its weight; ties go to the first in the list, which the caller rotates."""
    return min(
        candidates,
        key=lambda replica: in_flight.get(replica.replica_id, 0) / replica.weight,
        default=None,
    )
