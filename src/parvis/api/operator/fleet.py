"""What runs where: `/v1/deployments` and `/v1/replicas`."""

from typing import Annotated

import msgspec
from fastapi import Query
from starlette.requests import Request

from parvis.api.operator.answers_deployments import DeploymentRemoved, DeploymentShown, ReplicaMarked, ReplicaShown
from parvis.api.operator.deployment_form import DeploymentFields, NewDeployment
from parvis.api.operator.desk import OperatorDesk, TheDesk, desk_of
from parvis.api.web.answers import Listed
from parvis.api.web.places import installation
from parvis.api.web.queries import PageQuery
from parvis.api.web.routes import Route
from parvis.api.web.shapes import Json, page
from parvis.api.web.wording import Reader, TheReader
from parvis.domain.fleet.deployment import Deployment, DeploymentState
from parvis.domain.fleet.replica import Replica, ReplicaState
from parvis.domain.identity.permission import Permission as May
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.flows.deployments import (
    Seen,
    change_deployment,
    create_deployment,
    mark_replica,
    remove_deployment,
    restart_deployment,
    revised,
    set_deployment_state,
    takes_requests,
)

_ALL = "/v1/deployments"
_ONE = f"{_ALL}/{{deployment_id}}"
_REPLICA = "/v1/replicas/{replica_id}"


class ReplicaQuery(PageQuery):
    """Which replicas."""

    pool: str | None = None
    deployment: str | None = None


async def deployment_place(request: Request) -> Target | None:
    """Of `{deployment_id}`: the installation, if there is such a one."""
    known = await desk_of(request).yard.deployments()
    wanted = request.path_params["deployment_id"]
    return INSTALLATION if any(one.deployment_id == wanted for one in known) else None


async def replica_place(request: Request) -> Target | None:
    """Of `{replica_id}`: the installation, if there is such a one."""
    known = desk_of(request).depot.replicas()
    return INSTALLATION if any(one.replica_id == request.path_params["replica_id"] for one in known) else None


# Deployments


async def all_deployments(
    desk: TheDesk, reader: TheReader, query: Annotated[PageQuery, Query()]
) -> Annotated[Json, Listed[DeploymentShown]]:
    """All, those of the settings too, sorted by id."""
    found = await desk.yard.deployments()
    return page(found, lambda one: one.deployment_id, lambda one: _shape(desk, reader, one), query.after, query.limit)


async def one(desk: TheDesk, reader: TheReader, deployment_id: str) -> Annotated[Json, DeploymentShown]:
    """One deployment."""
    return _shape(desk, reader, await desk.yard.deployment(deployment_id))


async def create(desk: TheDesk, reader: TheReader, form: NewDeployment) -> Annotated[Json, DeploymentShown]:
    """A new one, and an entry of the catalogue for its model if there is none."""
    made = await create_deployment(desk.yard, form.deployment())
    await desk.announce()
    return _shape(desk, reader, made)


async def change(
    desk: TheDesk, reader: TheReader, deployment_id: str, form: DeploymentFields
) -> Annotated[Json, DeploymentShown]:
    """Other facts. Engine processes that cannot follow are replaced one after another, and nobody is refused."""
    changed = await change_deployment(desk.yard, deployment_id, lambda before: revised(before, form.said()))
    await desk.announce()
    return _shape(desk, reader, changed)


async def cordon(desk: TheDesk, reader: TheReader, deployment_id: str) -> Annotated[Json, DeploymentShown]:
    """It takes nothing new, and what runs of it stays."""
    return await _set(desk, reader, deployment_id, DeploymentState.CORDONED)


async def uncordon(desk: TheDesk, reader: TheReader, deployment_id: str) -> Annotated[Json, DeploymentShown]:
    """It serves, whatever it was told before."""
    return await _set(desk, reader, deployment_id, DeploymentState.SERVING)


async def drain(desk: TheDesk, reader: TheReader, deployment_id: str) -> Annotated[Json, DeploymentShown]:
    """It takes nothing new, and is stopped when nothing runs on it any more."""
    return await _set(desk, reader, deployment_id, DeploymentState.DRAINING)


async def restart(desk: TheDesk, reader: TheReader, deployment_id: str) -> Annotated[Json, DeploymentShown]:
    """Replace its engine processes one after another; nobody is refused."""
    return _shape(desk, reader, await restart_deployment(desk.yard, deployment_id))


async def remove(desk: TheDesk, deployment_id: str) -> Annotated[Json, DeploymentRemoved]:
    """For good. What runs on its replicas may finish."""
    await remove_deployment(desk.yard, deployment_id)
    await desk.announce()
    return {"object": "deployment", "id": deployment_id, "deleted": True}


async def _set(desk: OperatorDesk, reader: Reader, deployment_id: str, state: DeploymentState) -> Json:
    changed = await set_deployment_state(desk.yard, deployment_id, state)
    await desk.announce()
    return _shape(desk, reader, changed)


def _shape(desk: OperatorDesk, reader: Reader, deployment: Deployment) -> Json:
    facts = msgspec.to_builtins(deployment)
    name = facts.pop("deployment_id")
    given = desk.yard.is_given(name)
    mine = [one for one in desk.depot.replicas() if _is_of(one, deployment, given=given)]
    looked = [(one, desk.depot.seen(one.replica_id)) for one in mine]
    away = [_why_away(one, seen) for one, seen in looked if not takes_requests(one, seen.state)]
    ready, why = len(mine) - len(away), next(filter(None, away), "")
    said = {"object": "deployment", "id": name, "from_settings": given, **facts, "ready": ready}
    return {**said, **reader.reason(why)}


def _why_away(replica: Replica, seen: Seen) -> str:
    """Its own reason first. That gateways do not know who only starts is none."""
    return replica.why or (seen.why if seen.gateways else "")


def _is_of(replica: Replica, deployment: Deployment, *, given: bool) -> bool:
    if given:
        return not replica.deployment_id and replica.engine == deployment.deployment_id
    return replica.deployment_id == deployment.deployment_id


# Replicas


async def all_replicas(
    desk: TheDesk, reader: TheReader, query: Annotated[ReplicaQuery, Query()]
) -> Annotated[Json, Listed[ReplicaShown]]:
    """All that there are, those that start too, sorted by id."""
    found = sorted(desk.depot.replicas(), key=lambda one: one.replica_id)
    mine = [
        one
        for one in found
        if query.pool in (None, one.engine) and query.deployment in (None, one.deployment_id or one.engine)
    ]
    return page(
        mine, lambda one: one.replica_id, lambda one: _replica_shape(desk, reader, one), query.after, query.limit
    )


async def one_replica(desk: TheDesk, reader: TheReader, replica_id: str) -> Annotated[Json, ReplicaShown]:
    """One replica: its state and why, and what gateways see of it."""
    return _replica_shape(desk, reader, desk.yard.replica(replica_id))


async def cordon_replica(desk: TheDesk, replica_id: str) -> Annotated[Json, ReplicaMarked]:
    """It takes nothing new, and stays."""
    return await _mark(desk, replica_id, ReplicaState.CORDONED)


async def uncordon_replica(desk: TheDesk, replica_id: str) -> Annotated[Json, ReplicaMarked]:
    """It serves again, as far as its deployment does."""
    return await _mark(desk, replica_id, ReplicaState.READY)


async def drain_replica(desk: TheDesk, replica_id: str) -> Annotated[Json, ReplicaMarked]:
    """It takes nothing new. An engine process of a deployment ends when nothing runs on it, and another follows."""
    return await _mark(desk, replica_id, ReplicaState.DRAINING)


async def _mark(desk: OperatorDesk, replica_id: str, state: ReplicaState) -> Json:
    await mark_replica(desk.yard, replica_id, state)
    await desk.announce()
    return {"object": "replica", "id": replica_id, "marked": state}


def _replica_shape(desk: OperatorDesk, reader: Reader, replica: Replica) -> Json:
    seen = desk.depot.seen(replica.replica_id)
    return {
        "object": "replica",
        "id": replica.replica_id,
        "deployment_id": replica.deployment_id or None,
        "pool": replica.engine,
        "node_id": replica.node_id or None,
        "kind": replica.kind,
        "address": replica.address or None,
        "state": replica.state,
        **reader.reason(replica.why or seen.why),
        "seen": seen.state,
        "gateways": seen.gateways,
        "in_flight": seen.in_flight,
        "slots": replica.slots,
        "weight": replica.weight,
        "cost": replica.cost,
        "pace": round(seen.pace, 2),
        "first_byte_ms": seen.first_byte_ms,
    }


ROUTES = (
    Route("GET", _ALL, all_deployments, May.FLEET_READ),
    Route("POST", _ALL, create, May.FLEET_WRITE, 201, target=installation, action="deployment.created"),
    Route("GET", _ONE, one, May.FLEET_READ, target=deployment_place),
    Route("PATCH", _ONE, change, May.FLEET_WRITE, target=deployment_place, action="deployment.updated"),
    Route("DELETE", _ONE, remove, May.FLEET_WRITE, target=deployment_place, action="deployment.deleted"),
    Route("POST", f"{_ONE}/cordon", cordon, May.FLEET_WRITE, target=deployment_place, action="deployment.cordoned"),
    Route(
        "POST", f"{_ONE}/uncordon", uncordon, May.FLEET_WRITE, target=deployment_place, action="deployment.uncordoned"
    ),
    Route("POST", f"{_ONE}/drain", drain, May.FLEET_WRITE, target=deployment_place, action="deployment.drained"),
    Route("POST", f"{_ONE}/restart", restart, May.FLEET_WRITE, target=deployment_place, action="deployment.restarted"),
    Route("GET", "/v1/replicas", all_replicas, May.FLEET_READ),
    Route("GET", _REPLICA, one_replica, May.FLEET_READ, target=replica_place),
    Route(
        "POST", f"{_REPLICA}/cordon", cordon_replica, May.FLEET_WRITE, target=replica_place, action="replica.cordoned"
    ),
    Route(
        "POST",
        f"{_REPLICA}/uncordon",
        uncordon_replica,
        May.FLEET_WRITE,
        target=replica_place,
        action="replica.uncordoned",
    ),
    Route("POST", f"{_REPLICA}/drain", drain_replica, May.FLEET_WRITE, target=replica_place, action="replica.drained"),
)
