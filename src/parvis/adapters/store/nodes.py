"""Machines that have joined, and codes."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from parvis.adapters.store.database import Room
from parvis.adapters.store.node_tables import join_codes, nodes
from parvis.core.errors import NotFound, NotPermitted
from parvis.domain.fleet.node import Node


class Nodes(Room):
    """`NodeStore` on SQL."""

    async def add_join_code(self, digest: str, ends_unix_ms: int) -> None:
        """See the port."""
        await self.database.run(_add_code, digest, ends_unix_ms, self._clock.unix_ms())

    async def redeem_join_code(self, digest: str, node: Node) -> None:
        """See the port."""
        await self.database.run(_redeem, digest, node)

    async def nodes(self) -> list[Node]:
        """See the port."""
        return await self.database.read(_nodes)

    async def remove_node(self, node_id: str, at_unix_ms: int) -> Node:
        """See the port."""
        return await self.database.run_first(_remove, node_id, at_unix_ms)


def _add_code(connection: Connection, digest: str, ends_unix_ms: int, now: int) -> None:
    connection.execute(delete(join_codes).where(join_codes.c.ends_unix_ms <= now))
    connection.execute(insert(join_codes).values(digest=digest, ends_unix_ms=ends_unix_ms))


def _redeem(connection: Connection, digest: str, node: Node) -> None:
    living = join_codes.c.ends_unix_ms > node.joined_unix_ms
    if not connection.execute(delete(join_codes).where(join_codes.c.digest == digest, living)).rowcount:
        raise NotPermitted("This code was used, has ended, or never was. Ask for another: `parvis node code`.")
    connection.execute(insert(nodes).values(**asdict(node)))


def _nodes(connection: Connection) -> list[Node]:
    return [_node(row) for row in connection.execute(select(nodes).order_by(nodes.c.node_id))]


def _remove(connection: Connection, node_id: str, at_unix_ms: int) -> Node:
    one = nodes.c.node_id == node_id
    connection.execute(update(nodes).where(one, nodes.c.removed_unix_ms.is_(None)).values(removed_unix_ms=at_unix_ms))
    row = connection.execute(select(nodes).where(one)).one_or_none()
    if row is None:
        raise NotFound(f"There is no machine '{node_id}'. `parvis node list` lists them.")
    return _node(row)


def _node(row: Row[Any]) -> Node:
    return Node(row.node_id, row.name, row.serial, row.joined_unix_ms, row.removed_unix_ms)
