"""Filter, score, pick: which replica takes a request. Pure; the caller keeps the counts."""

from collections.abc import Mapping, Sequence

from parvis.domain.fleet.replica import Replica, ReplicaState


def eligible(replicas: Sequence[Replica], engine: str) -> list[Replica]:
    """Filter what changes rarely: ready, and serving this engine."""
    return [replica for replica in replicas if replica.state is ReplicaState.READY and replica.engine == engine]


def pick(candidates: Sequence[Replica], in_flight: Mapping[str, int], tried: frozenset[str]) -> Replica | None:
    """Pick the least loaded for its weight among those not tried; ties go to the first, and the caller rotates."""
    best, least = None, 0.0
    for replica in candidates:
        if replica.replica_id in tried:
            continue
        load = in_flight.get(replica.replica_id, 0) / replica.weight
        if best is None or load < least:
            best, least = replica, load
    return best
