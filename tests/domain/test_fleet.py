"""Filter and pick: only replicas that can serve, the least loaded for its weight."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from parvis.domain.fleet.profile import PROFILES
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.domain.fleet.routing import eligible, pick

replicas = st.lists(
    st.builds(
        lambda number, engine, state, weight: Replica(
            f"r{number}", engine, EngineKind.VLLM, "http://127.0.0.1:1", state, weight=weight
        ),
        st.integers(0, 9),
        st.sampled_from(["a", "b"]),
        st.sampled_from(ReplicaState),
        st.integers(1, 5),
    ),
    max_size=8,
    unique_by=lambda replica: replica.replica_id,
)
ids = st.sampled_from([f"r{n}" for n in range(10)])
loads = st.dictionaries(ids, st.integers(0, 20))


@given(replicas)
def test_a_replica_is_eligible_if_it_is_ready_and_serves_the_engine(fleet: list[Replica]) -> None:
    found = eligible(fleet, "a")
    for replica in fleet:
        assert (replica in found) == (replica.state is ReplicaState.READY and replica.engine == "a")
    assert found == sorted(found, key=fleet.index)


@given(replicas, loads, st.frozensets(ids))
def test_the_least_loaded_for_its_weight_of_those_not_tried_is_picked_and_the_first_of_equals(
    fleet: list[Replica], in_flight: dict[str, int], tried: frozenset[str]
) -> None:
    picked = pick(fleet, in_flight, tried)
    left = [replica for replica in fleet if replica.replica_id not in tried]
    if picked is None:
        assert left == []
        return
    shares = [Fraction(in_flight.get(replica.replica_id, 0), replica.weight) for replica in left]
    assert left.index(picked) == shares.index(min(shares))


@given(replicas.filter(bool), st.integers(1, 200))
def test_work_is_spread_by_weight(fleet: list[Replica], requests: int) -> None:
    in_flight = {replica.replica_id: 0 for replica in fleet}
    for _ in range(requests):
        picked = pick(fleet, in_flight, frozenset())
        assert picked is not None
        in_flight[picked.replica_id] += 1
    whole = sum(replica.weight for replica in fleet)
    for replica in fleet:
        fair = Fraction(requests * replica.weight, whole)
        assert abs(in_flight[replica.replica_id] - fair) <= len(fleet)


def test_every_kind_of_engine_has_its_profile() -> None:
    assert PROFILES.keys() == set(EngineKind)
