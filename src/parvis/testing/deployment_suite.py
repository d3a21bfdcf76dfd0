"""What every store promises of deployments and of marks on replicas, as functions that take an open, empty store."""

# ruff: noqa: D103 - a promise's name is its sentence

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from parvis.core.errors import Conflict, NotFound
from parvis.domain.fleet.deployment import Address, Deployment, DeploymentState, LoadPolicy, SizeClass, Source, Wanted
from parvis.domain.fleet.replica import EngineKind, ReplicaState
from parvis.flows.store import Store

FAR = Deployment(
    deployment_id="far",
    pool="chat",
    kind=EngineKind.VLLM,
    addresses=(Address("https://gpu1.example:8000", 3), Address("https://gpu2.example:8000")),
    model="acme/70b",
    engine_model="né à Ürümqi",
    api_key_file="far.key",
    tls_ca="/etc/ca.pem",
    tls_min="1.2",
    size_class=SizeClass.LARGE,
    slots=64,
    weight=2,
    cost=7,
)
NEAR = Deployment(deployment_id="near", pool="chat", source=Source.HERE, weights="builtin:x", replicas=3)
LAZY = replace(NEAR, load=LoadPolicy.ON_DEMAND, idle_s=30)


async def deployments_come_back_as_they_were_put(store: Store) -> None:
    assert await store.fleet_wanted() == Wanted()
    await store.add_deployment(NEAR)
    await store.add_deployment(FAR)
    with pytest.raises(Conflict):
        await store.add_deployment(replace(NEAR, pool="other"))
    assert await store.fleet_wanted() == Wanted((FAR, NEAR), {})


async def a_change_of_what_somebody_else_has_changed_is_refused(store: Store) -> None:
    await store.add_deployment(NEAR)
    scaled = replace(LAZY, replicas=5, state=DeploymentState.CORDONED, generation=1)
    await store.swap_deployment(NEAR, scaled)
    with pytest.raises(Conflict):
        await store.swap_deployment(NEAR, replace(NEAR, replicas=4))
    with pytest.raises(NotFound):
        await store.swap_deployment(FAR, FAR)
    assert (await store.fleet_wanted()).deployments == (scaled,)


async def what_was_removed_is_gone(store: Store) -> None:
    await store.add_deployment(FAR)
    await store.remove_deployment("far")
    with pytest.raises(NotFound):
        await store.remove_deployment("far")
    assert await store.fleet_wanted() == Wanted()


async def marks_are_kept_until_they_are_taken_away(store: Store) -> None:
    for replica_id, state in (
        ("a", ReplicaState.CORDONED),
        ("b", ReplicaState.CORDONED),
        ("b", ReplicaState.DRAINING),
        ("c", ReplicaState.DRAINING),
    ):
        await store.mark_replica(replica_id, state)
    await store.mark_replica("a", ReplicaState.READY)
    await store.mark_replica("nobody", ReplicaState.READY)
    assert (await store.fleet_wanted()).marks == {"b": ReplicaState.DRAINING, "c": ReplicaState.DRAINING}
    await store.forget_marks({"b", "nobody"})
    assert (await store.fleet_wanted()).marks == {"c": ReplicaState.DRAINING}


PROMISES: tuple[Callable[[Store], Awaitable[None]], ...] = (
    a_change_of_what_somebody_else_has_changed_is_refused,
    deployments_come_back_as_they_were_put,
    marks_are_kept_until_they_are_taken_away,
    what_was_removed_is_gone,
)
