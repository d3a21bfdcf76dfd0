"""Who is loaded on demand is loaded while somebody asks, and a while after it; never longer, and never less."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.domain.fleet.demand import SLEEPS, Demand, can_serve, sleeper
from parvis.domain.fleet.deployment import Deployment, DeploymentState, LoadPolicy, Source, as_wanted
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState

IDLE_S = 10
LAZY = Deployment(
    deployment_id="lazy",
    pool="chat",
    source=Source.HERE,
    weights="w",
    replicas=2,
    parallel=3,
    load=LoadPolicy.ON_DEMAND,
    idle_s=IDLE_S,
)
PINNED = replace(LAZY, deployment_id="pinned", load=LoadPolicy.PINNED)
BOTH = (LAZY, PINNED)
RUN = Replica("lazy-bcdfg", "chat", EngineKind.LLAMA_CPP, "", ReplicaState.STARTING, deployment_id="lazy")
STEPS = st.lists(st.tuples(st.sampled_from(["asked", "used", "look"]), st.integers(0, 7)), max_size=40)


def replicas(demand: Demand) -> list[int]:
    return [demand.loaded(one).replicas for one in BOTH]


@given(STEPS, st.booleans())
def test_it_is_loaded_while_somebody_asks_and_for_its_idle_time(steps: list[tuple[str, int]], running: bool) -> None:  # noqa: FBT001 - hypothesis gives it by place
    demand, now_s = Demand(), 1_000
    demand.know(BOTH, {"lazy"} if running else (), now_s)
    awake, asked_s = running, now_s
    for what, pause_s in steps:
        now_s += pause_s
        if what == "asked" or (what == "used" and awake):
            awake, asked_s = True, now_s
        if what == "look":
            demand.know(BOTH, (), now_s)
            demand.rest(BOTH, now_s)
            awake = awake and now_s - asked_s < IDLE_S
        else:
            (demand.asked if what == "asked" else demand.used)(["lazy", "pinned", "nobody"], now_s)
        assert replicas(demand) == [2 * awake, 2]


def test_who_is_known_no_more_is_forgotten() -> None:
    demand = Demand()
    demand.know(BOTH, {"lazy"}, 0)
    demand.know((PINNED,), {"lazy"}, 1)
    demand.asked(["lazy"], 1)
    demand.know(BOTH, (), 2)
    assert replicas(demand) == [0, 2]


STATES = st.lists(
    st.tuples(st.sampled_from([ReplicaState.STARTING, ReplicaState.READY, ReplicaState.DRAINING]), st.booleans())
)


@given(STATES)
def test_a_sleeper_stands_where_nobody_is_ready_and_fails_when_all_do(states: list[tuple[ReplicaState, bool]]) -> None:
    runs = [replace(RUN, state=state, failed=failed and state is ReplicaState.STARTING) for state, failed in states]
    found = sleeper(LAZY, runs)
    starts = [one for one in runs if one.state is ReplicaState.STARTING]
    assert (found is None) == any(one.state is ReplicaState.READY for one in runs)
    if found is not None:
        assert found.failed == (bool(starts) and all(one.failed for one in starts))
        assert can_serve(found) is not found.failed
    assert sleeper(PINNED, runs) is None


@pytest.mark.parametrize("facts", [{"replicas": 0}, {"state": DeploymentState.DRAINING}])
def test_what_shall_not_run_is_never_woken(facts: dict[str, object]) -> None:
    assert sleeper(replace(LAZY, **facts), []) is None  # type: ignore[arg-type] # of several types, by name


def test_a_sleeper_is_as_the_operator_wants_its_replicas() -> None:
    found = sleeper(LAZY, [])
    assert found is not None
    seen = as_wanted(found, {"lazy": LAZY}, {})
    assert (seen.state, seen.slots, seen.why, seen.address) == (ReplicaState.ASLEEP, 3, SLEEPS, "")
    cordoned = as_wanted(found, {"lazy": replace(LAZY, state=DeploymentState.CORDONED)}, {})
    assert (cordoned.state, can_serve(cordoned)) == (ReplicaState.CORDONED, False)
