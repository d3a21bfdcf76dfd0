"""A gateway's own view of the fleet: whom it may use, and how much it has given each."""

from collections import Counter

import pytest

from parvis.core.errors import EngineUnavailable
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.flows.fleet import LocalFleet

NOBODY: frozenset[str] = frozenset()


def replica(name: str, engine: str = "e", state: ReplicaState = ReplicaState.READY, weight: int = 1) -> Replica:
    return Replica(name, engine, EngineKind.VLLM, "http://127.0.0.1:1", state, weight=weight)


def fleet(*replicas: Replica) -> LocalFleet:
    known = LocalFleet()
    known.load(replicas)
    return known


def test_equals_take_turns() -> None:
    known = fleet(replica("a"), replica("b"), replica("c"))
    seen = []
    for _ in range(9):
        picked = known.pick("e", NOBODY)
        seen.append(picked.replica_id)
        known.release(picked)
    assert Counter(seen) == {"a": 3, "b": 3, "c": 3}


def test_work_goes_where_least_is_under_way_for_the_weight() -> None:
    known = fleet(replica("a"), replica("b", weight=3))
    assert Counter(known.pick("e", NOBODY).replica_id for _ in range(8)) == {"a": 2, "b": 6}
    assert known.in_flight == 8


def test_a_replica_that_was_tried_is_not_tried_again() -> None:
    known = fleet(replica("a"), replica("b"))
    assert known.pick("e", frozenset("a")).replica_id == "b"
    with pytest.raises(EngineUnavailable) as refused:
        known.pick("e", frozenset("ab"))
    assert refused.value.retry_after_s
    assert known.in_flight == 1


@pytest.mark.parametrize("state", [ReplicaState.STARTING, ReplicaState.GONE])
def test_nobody_is_asked_who_cannot_answer(state: ReplicaState) -> None:
    known = fleet(replica("a", state=state), replica("b", engine="other"))
    for engine in ("e", "unknown"):
        with pytest.raises(EngineUnavailable):
            known.pick(engine, NOBODY)


def test_a_new_list_keeps_the_counts_of_requests_under_way() -> None:
    known = fleet(replica("a"))
    first = known.pick("e", NOBODY)
    known.load((replica("a"), replica("b")))
    assert known.pick("e", NOBODY).replica_id == "b"
    known.load((replica("b"),))
    known.release(first)
    assert known.in_flight == 1
