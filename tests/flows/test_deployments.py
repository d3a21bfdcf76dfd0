"""Deployments as stories: made with an entry for their model, refused with a reason, changed, drained and declared."""

import re
from dataclasses import replace

import pytest

from parvis.adapters.store.store import SqlStore
from parvis.core.errors import BadRequest, Conflict, Misconfigured, NotFound
from parvis.domain.catalog.builtin import entry
from parvis.domain.fleet.deployment import Address, Deployment, DeploymentState, LoadPolicy, Source
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.domain.identity.changes import Kind, Sheet, Sign
from parvis.domain.identity.principal import operator
from parvis.flows.apply import Declaration, apply, difference
from parvis.flows.deployments import (
    DEPLOYMENTS_MAX,
    Depot,
    Yard,
    change_deployment,
    create_deployment,
    forget_stopped,
    mark_replica,
    remove_deployment,
    restart_deployment,
    set_deployment_state,
    takes_requests,
)
from parvis.flows.keys import Mint

FAR = Deployment(deployment_id="far", pool="", model="far-8b", addresses=(Address("http://a:1"), Address("http://b:1")))
NEAR = Deployment(deployment_id="near", pool="", source=Source.HERE, weights="w.gguf", model="near", replicas=2)
GIVEN = Deployment(deployment_id="given", pool="given", addresses=(Address("http://g:1"),))
ONE = Replica("given-0", "given", EngineKind.VLLM, "http://g:1", ReplicaState.READY)


async def look_at(deployment: Deployment) -> None:
    if deployment.weights == "bad":
        raise Misconfigured("The weights 'bad' are unknown.")


@pytest.fixture
def yard(store: SqlStore, mint: Mint) -> Yard:
    return Yard(store, mint.clock, Depot(lambda: (GIVEN,), lambda: (ONE,), look_at=look_at))


async def test_a_deployment_makes_the_entry_of_its_model(store: SqlStore, yard: Yard) -> None:
    made = await create_deployment(yard, FAR)
    assert made == replace(FAR, pool="far", replicas=2)
    assert [one.deployment_id for one in await yard.deployments()] == ["far", "given"]
    [model] = await store.models()
    assert (model.id, model.engine, model.engine_model) == ("far-8b", "far", "far-8b")
    # The next one of the same model is of the same pool.
    assert (await create_deployment(yard, replace(NEAR, model="far-8b"))).pool == "far"
    assert len(await store.models()) == 1


REFUSED = (
    (replace(FAR, addresses=()), "needs 'addresses'"),
    (replace(FAR, addresses=(Address("a:1"),)), "'a:1' is no address"),
    (replace(FAR, addresses=FAR.addresses * 2), "given twice"),
    (replace(FAR, api_key_file="../root.key"), "without a path"),
    (replace(FAR, deployment_id="Far"), "small letters"),
    (replace(FAR, gpus=1), "has no 'gpus'"),
    (replace(FAR, model=""), "No model of the catalogue is served by the pool 'far'"),
    (replace(FAR, model="no name"), "is no model name"),
    (replace(FAR, pool="a b"), "A pool's name"),
    (replace(FAR, tls_ca="ca.pem"), "no https:// address"),
    (replace(FAR, tls_cert="c.pem"), "go together"),
    (replace(FAR, weights="w"), "has no 'weights'"),
    (replace(NEAR, kind=EngineKind.VLLM), "served by 'llama.cpp' or 'openvino'"),
    (replace(NEAR, kind=EngineKind.OPENVINO, embedding=True), "serves chats"),
    (replace(NEAR, source=Source.RAY, replicas_max=1), "below 'replicas'"),
    (replace(FAR, load=LoadPolicy.ON_DEMAND), "loaded on demand"),
    (replace(NEAR, weights=""), "needs 'weights'"),
    (replace(NEAR, weights="bad"), "The weights 'bad' are unknown."),
)
"""What is said, and the reason why not."""


async def test_what_cannot_be_deployed_is_refused(store: SqlStore, yard: Yard) -> None:
    for said, reason in REFUSED:
        with pytest.raises(BadRequest, match=re.escape(reason)):
            await create_deployment(yard, said)
    assert ((await store.fleet_wanted()).deployments, await store.models()) == ((), [])


async def test_names_and_addresses_are_taken_once(store: SqlStore, yard: Yard) -> None:
    await create_deployment(yard, FAR)
    for taken in (FAR, replace(FAR, deployment_id="given")):
        with pytest.raises(Conflict, match="already"):
            await create_deployment(yard, taken)
    with pytest.raises(Conflict, match="'far' has the address 'http://b:1' already"):
        await create_deployment(yard, replace(FAR, deployment_id="more", addresses=(Address("http://b:1"),)))
    await store.put_model(entry("other", engine="elsewhere", context_tokens=9))
    with pytest.raises(Conflict, match="by the pool 'elsewhere', not by 'far'"):
        await create_deployment(yard, replace(NEAR, pool="far", model="other"))
    assert DEPLOYMENTS_MAX < 1000  # a list of them is one page


async def test_states_follow_one_another(store: SqlStore, yard: Yard) -> None:
    await create_deployment(yard, NEAR)
    for state in (DeploymentState.CORDONED, DeploymentState.DRAINING, DeploymentState.DRAINING):
        drained = await set_deployment_state(yard, "near", state)
        assert drained.state is state
    await forget_stopped(store, drained)
    assert (await set_deployment_state(yard, "near", DeploymentState.DRAINING)).state is DeploymentState.STOPPED
    assert (await set_deployment_state(yard, "near", DeploymentState.SERVING)).state is DeploymentState.SERVING
    with pytest.raises(Conflict):
        await forget_stopped(store, drained)  # somebody wants it again
    assert (await restart_deployment(yard, "near")).generation == 1
    assert (await change_deployment(yard, "near", lambda before: replace(before, replicas=5))).replicas == 5
    await remove_deployment(yard, "near")
    with pytest.raises(NotFound):
        await remove_deployment(yard, "near")


async def test_what_is_not_ours_is_said_so(yard: Yard) -> None:
    await create_deployment(yard, FAR)
    with pytest.raises(Conflict, match="are not ours to start"):
        await restart_deployment(yard, "far")
    with pytest.raises(Conflict, match="an engine of the settings"):
        await set_deployment_state(yard, "given", DeploymentState.CORDONED)


async def test_a_single_replica_is_marked(store: SqlStore, yard: Yard) -> None:
    await mark_replica(yard, "given-0", ReplicaState.CORDONED)
    assert (await store.fleet_wanted()).marks == {"given-0": ReplicaState.CORDONED}
    with pytest.raises(NotFound):
        await mark_replica(yard, "given-1", ReplicaState.CORDONED)


async def test_a_file_declares_deployments(store: SqlStore, mint: Mint, yard: Yard) -> None:
    addresses = ({"url": "http://a:1", "weight": 2},)
    first = Sheet(Kind.DEPLOYMENT, ("far",), {"model": "far-8b", "kind": "vllm", "addresses": addresses})
    wanted = Declaration((first,), depot=yard.depot)
    done = await apply(store, mint, operator(), wanted)
    assert [(change.sign, change.path) for change in done.changes] == [(Sign.ADD, ("far",))]
    assert (await yard.deployment("far")).addresses == (Address("http://a:1", 2),)
    assert [change.sign for change in (await apply(store, mint, operator(), wanted)).changes] == [Sign.SAME]
    drained = replace(wanted, sheets=(replace(first, facts={"state": "draining"}),))
    [change] = (await apply(store, mint, operator(), drained)).changes
    assert [(field.name, field.after) for field in change.fields] == [("state", "draining")]
    await forget_stopped(store, await yard.deployment("far"))
    assert [change.sign for change in (await apply(store, mint, operator(), drained)).changes] == [Sign.SAME]


PROMISED_NOT = (
    (("given", {"model": "x", "addresses": ({"url": "http://x:1"},)}), "'given' is an engine of the settings"),
    (("near", {"model": "near", "source": "here", "weights": "bad"}), "The weights 'bad' are unknown."),
    (("far", {"model": "no name", "addresses": ({"url": "http://x:1"},)}), "is no model name"),
)
"""Of a file: a deployment and its facts, and why it cannot be made."""


@pytest.mark.parametrize(("said", "reason"), PROMISED_NOT)
async def test_what_cannot_be_made_is_not_promised(
    store: SqlStore, mint: Mint, yard: Yard, said: tuple[str, dict[str, object]], reason: str
) -> None:
    name, facts = said
    wanted = Declaration((Sheet(Kind.DEPLOYMENT, (name,), facts),), depot=yard.depot)
    with pytest.raises((BadRequest, Conflict), match=re.escape(reason)):
        await difference(store, mint, wanted, prune=False)


async def test_a_deployment_sees_those_before_it_in_its_file(store: SqlStore, mint: Mint, yard: Yard) -> None:
    facts = {"model": "far-8b", "pool": "far", "addresses": ({"url": "http://a:1"},)}
    sheets = tuple(Sheet(Kind.DEPLOYMENT, (name,), facts) for name in ("far", "far-2"))
    with pytest.raises(Conflict, match="has the address 'http://a:1' already"):
        await difference(store, mint, Declaration(sheets, depot=yard.depot), prune=False)


@pytest.mark.parametrize(
    ("seen", "ready"), [("open", 1), ("partly", 1), ("returning", 1), ("unseen", 1), ("closed", 0)]
)
def test_who_is_seen_closed_takes_no_requests(seen: str, ready: int) -> None:
    assert takes_requests(ONE, seen) == bool(ready)
    assert not takes_requests(replace(ONE, state=ReplicaState.STARTING), seen)


async def test_a_file_that_owns_deployments_takes_away_what_it_does_not_name(
    store: SqlStore, mint: Mint, yard: Yard
) -> None:
    for one in (FAR, NEAR):
        await create_deployment(yard, one)
    wanted = Declaration((Sheet(Kind.DEPLOYMENT, ("far",)),), owned=(Kind.DEPLOYMENT,), depot=yard.depot)
    assert {change.sign for change in await difference(store, mint, wanted, prune=False)} == {Sign.SAME}
    for declared in (replace(wanted, owned=()), wanted):  # asked to, but it does not own them
        done = await apply(store, mint, operator(), declared, prune=True)
        gone = [(one.kind, one.path) for one in done.changes if one.sign is Sign.REMOVE]
        assert gone == ([(Kind.DEPLOYMENT, ("near",))] if declared.owned else [])
    assert [one.deployment_id for one in await yard.deployments()] == ["far", "given"]
    assert {one.id for one in await store.models()} == {"far-8b", "near"}
