"""Deployments: the replicas that come of them, and the steps from what runs to what is wanted."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from parvis.domain.fleet.deployment import (
    Address,
    Deployment,
    DeploymentState,
    Source,
    as_wanted,
    is_address,
    replicas_at_addresses,
    suffixed,
)
from parvis.domain.fleet.replica import ReplicaState
from parvis.domain.fleet.rollout import Running, Steps, wanted_changes

FAR = Deployment(
    deployment_id="far", pool="chat", addresses=(Address("http://a:1", 2), Address("http://b:1")), weight=3
)
NEAR = Deployment(deployment_id="near", pool="chat", source=Source.HERE, weights="w", replicas=2, parallel=4)
READY, STARTING, DRAINING = ReplicaState.READY, ReplicaState.STARTING, ReplicaState.DRAINING


def test_an_address_keeps_its_replica_whatever_stands_beside_it() -> None:
    first, second = replicas_at_addresses(FAR, "key")
    assert (first.engine, first.address, first.weight, first.api_key) == ("chat", "http://a:1", 6, "key")
    alone = replicas_at_addresses(replace(FAR, addresses=(Address("http://b:1"),)))
    assert [one.replica_id for one in alone] == [second.replica_id]
    assert first.replica_id.rpartition("-")[0] == "far"
    assert not first.replica_id.rpartition("-")[2].isdecimal()


def test_what_keeps_away_more_wins() -> None:
    [first, _] = replicas_at_addresses(FAR)
    known = {"far": FAR}
    assert as_wanted(first, known, {}) == first
    assert as_wanted(first, known, {first.replica_id: ReplicaState.CORDONED}).state is ReplicaState.CORDONED
    cordoned = {"far": replace(FAR, state=DeploymentState.CORDONED)}
    assert as_wanted(first, cordoned, {}).state is ReplicaState.CORDONED
    assert as_wanted(first, cordoned, {first.replica_id: DRAINING}).state is DRAINING
    assert as_wanted(first, {}, {}).state is DRAINING
    starting = replace(first, state=STARTING, why="It loads.")
    assert as_wanted(starting, cordoned, {}) == starting


def test_figures_of_a_deployment_hold_for_what_runs_of_it_already() -> None:
    [one, _] = replicas_at_addresses(replace(FAR, deployment_id="near"))
    seen = as_wanted(one, {"near": replace(NEAR, weight=5, cost=2)}, {})
    assert (seen.weight, seen.cost, seen.slots) == (5, 2, 4)


def test_addresses_are_told_from_texts() -> None:
    good = ("http://h:1", "https://gpu.example", "http://[::1]:8000/v1")
    bad = (
        "",
        "h:1",
        "ftp://h:1",
        "http://",
        "http://h:0",
        "http://h:99999",
        "http://u:p@h:1",
        "http://h:1/?q",
        "http://a b",
    )
    assert [text for text in (*good, *bad) if is_address(text)] == list(good)


@given(st.text(), st.binary())
def test_an_id_has_its_form(name: str, seed: bytes) -> None:
    assert suffixed(name, seed) == suffixed(name, seed)
    assert len(suffixed(name, seed)) == len(name) + 6


# ----------------------------------------------------------------------------------------------------- roll-outs


class Machine:
    """Engine processes that do what they are told, each start and drain taking one turn."""

    def __init__(self, running: list[Running], roomy: frozenset[str]) -> None:
        self.running = running
        self.roomy = roomy
        self._made = 0

    def turn(self, deployments: tuple[Deployment, ...], drained: frozenset[str] = frozenset()) -> Steps:
        """One look, and what comes of it."""
        steps = wanted_changes(deployments, self.running, drained=drained, roomy=self.roomy)
        after = [one for one in self.running if one.replica_id not in steps.stops and one.state is not DRAINING]
        self.running = [one._replace(state=DRAINING if one.replica_id in steps.drains else READY) for one in after]
        for one in steps.starts:
            self._made += 1
            self.running.append(Running(f"new-{self._made}", one.deployment_id, one.recipe, STARTING))
        return steps

    def ready(self, deployment_id: str) -> int:
        return sum(one.deployment_id == deployment_id and one.state is READY for one in self.running)


NAMES = ("a", "b")
ROOM = st.frozensets(st.sampled_from(NAMES))
DEPLOYMENTS = st.builds(
    lambda replicas, states, generation: tuple(
        Deployment(
            deployment_id=name, pool=name, source=Source.HERE, replicas=count, state=state, generation=generation
        )
        for name, count, state in zip(NAMES, replicas, states, strict=True)
    ),
    st.tuples(st.integers(0, 4), st.integers(0, 4)),
    st.tuples(st.sampled_from(DeploymentState), st.sampled_from(DeploymentState)),
    st.integers(0, 1),
)
RECIPES = [Deployment(deployment_id="a", pool="a", generation=number).recipe for number in (0, 1)]
RUNNING = st.lists(
    st.tuples(st.sampled_from([*NAMES, "gone"]), st.integers(0, 1), st.sampled_from([READY, STARTING, DRAINING])),
    max_size=10,
).map(
    lambda parts: [
        Running(f"{name}-{place}", name, _recipe(name, generation), state)
        for place, (name, generation, state) in enumerate(parts)
    ]
)


def _recipe(name: str, generation: int) -> tuple[object, ...]:
    return Deployment(deployment_id=name, pool=name, generation=generation).recipe


def _count(one: Deployment) -> int:
    return one.replicas if one.serves else 0


@given(DEPLOYMENTS, RUNNING, ROOM)
def test_it_comes_to_an_end_with_what_is_wanted(
    deployments: tuple[Deployment, ...], running: list[Running], roomy: frozenset[str]
) -> None:
    machine = Machine(running, roomy)
    for _ in range(60):
        machine.turn(deployments)
    assert wanted_changes(deployments, machine.running, roomy=roomy) == Steps()
    found = sorted((one.deployment_id, one.recipe, one.state) for one in machine.running)
    assert found == sorted((one.deployment_id, one.recipe, READY) for one in deployments for _ in range(_count(one)))


@given(DEPLOYMENTS, RUNNING, ROOM)
def test_no_more_are_away_than_may_be(
    deployments: tuple[Deployment, ...], running: list[Running], roomy: frozenset[str]
) -> None:
    machine = Machine(running, roomy)
    for _ in range(40):
        before = {one.deployment_id: machine.ready(one.deployment_id) for one in deployments}
        drained = machine.turn(deployments).drains
        for one in deployments:
            least = min(before[one.deployment_id], _count(one) - (one.deployment_id not in roomy))
            took = sum(name.startswith(f"{one.deployment_id}-") for name in drained)
            assert machine.ready(one.deployment_id) >= least or not took


@given(DEPLOYMENTS, RUNNING)
def test_a_machine_without_room_never_starts_more_than_is_wanted(
    deployments: tuple[Deployment, ...], running: list[Running]
) -> None:
    machine = Machine(running, frozenset())
    for _ in range(20):
        steps = machine.turn(deployments)
        for one in deployments:
            there = sum(run.deployment_id == one.deployment_id for run in machine.running)
            assert one not in steps.starts or there <= _count(one) + sum(
                run.deployment_id == one.deployment_id and run.state is DRAINING for run in machine.running
            )


def test_a_replica_that_is_drained_is_followed_by_another() -> None:
    running = [Running(name, "near", NEAR.recipe, READY) for name in ("one", "two")]
    assert wanted_changes([NEAR], running) == Steps()
    steps = wanted_changes([NEAR], running, drained={"one"}, roomy={"near"})
    assert steps == Steps((NEAR,), ("one",), ())


def test_weights_that_do_not_load_take_nobody_down() -> None:
    """The new one never becomes ready: the old ones serve on."""
    changed = replace(NEAR, weights="bad")
    running = [Running(name, "near", NEAR.recipe, READY) for name in ("one", "two")]
    first = wanted_changes([changed], running, roomy={"near"})
    assert first == Steps((changed,))
    running.append(Running("three", "near", changed.recipe, STARTING))
    assert wanted_changes([changed], running, roomy={"near"}) == Steps()
    assert wanted_changes([NEAR], running, roomy={"near"}) == Steps(stops=("three",))
