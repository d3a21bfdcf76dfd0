"""Deployments, and marks on replicas."""

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, insert, select, update

from parvis.adapters.store.database import Room
from parvis.adapters.store.deployment_tables import deployments, replica_marks
from parvis.core.errors import Conflict, NotFound
from parvis.domain.fleet.deployment import Deployment, Wanted
from parvis.domain.fleet.replica import ReplicaState


class Deployments(Room):
    """`DeploymentStore` on SQL."""

    async def fleet_wanted(self) -> Wanted:
        """See the port."""
        return await self.database.read(_wanted)

    async def add_deployment(self, deployment: Deployment) -> None:
        """See the port."""
        await self.database.run_first(_add, deployment)

    async def swap_deployment(self, before: Deployment, after: Deployment) -> None:
        """See the port."""
        await self.database.run_first(_swap, before, after)

    async def remove_deployment(self, deployment_id: str) -> None:
        """See the port."""
        await self.database.run_first(_remove, deployment_id)

    async def mark_replica(self, replica_id: str, state: ReplicaState) -> None:
        """See the port."""
        await self.database.run_first(_mark, replica_id, state)

    async def forget_marks(self, replica_ids: Collection[str]) -> None:
        """See the port."""
        await self.database.run(_forget, replica_ids)


def _wanted(connection: Connection) -> Wanted:
    rows = connection.execute(select(deployments).order_by(deployments.c.deployment_id))
    marks = connection.execute(select(replica_marks))
    return Wanted(tuple(map(_deployment, rows)), {row.replica_id: ReplicaState(row.state) for row in marks})


def _add(connection: Connection, added: Deployment) -> None:
    if _found(connection, added.deployment_id) is not None:
        raise Conflict(f"There is a deployment '{added.deployment_id}' already.", param="id")
    connection.execute(insert(deployments).values(**_values(added)))


def _swap(connection: Connection, before: Deployment, after: Deployment) -> None:
    found = _found(connection, before.deployment_id)
    if found is None:
        raise NotFound(f"There is no deployment '{before.deployment_id}'.")
    if found != before:
        raise Conflict(f"The deployment '{before.deployment_id}' has changed meanwhile. Read it again.")
    same = deployments.c.deployment_id == before.deployment_id
    connection.execute(update(deployments).where(same).values(**_values(after)))


def _remove(connection: Connection, deployment_id: str) -> None:
    if not connection.execute(delete(deployments).where(deployments.c.deployment_id == deployment_id)).rowcount:
        raise NotFound(f"There is no deployment '{deployment_id}'.")


def _mark(connection: Connection, replica_id: str, state: ReplicaState) -> None:
    _forget(connection, [replica_id])
    if state is not ReplicaState.READY:
        connection.execute(insert(replica_marks).values(replica_id=replica_id, state=state))


def _forget(connection: Connection, replica_ids: Collection[str]) -> None:
    connection.execute(delete(replica_marks).where(replica_marks.c.replica_id.in_(sorted(replica_ids))))


def _found(connection: Connection, deployment_id: str) -> Deployment | None:
    row = connection.execute(select(deployments).where(deployments.c.deployment_id == deployment_id)).one_or_none()
    return None if row is None else _deployment(row)


def _values(deployment: Deployment) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(deployment)
    return {"deployment_id": facts.pop("deployment_id"), "pool": facts.pop("pool"), "facts": facts}


def _deployment(row: Row[Any]) -> Deployment:
    return msgspec.convert({"deployment_id": row.deployment_id, "pool": row.pool, **row.facts}, Deployment)
