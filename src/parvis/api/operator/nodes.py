"""Machines that serve beside control's: `/v1/nodes`."""

from functools import partial
from typing import Annotated

from fastapi import Query
from starlette.requests import Request

from parvis.api.operator.answers_nodes import JoinCode as JoinCodeShown
from parvis.api.operator.answers_nodes import Node as NodeShown
from parvis.api.operator.desk import OperatorDesk, TheDesk, desk_of
from parvis.api.web.answers import Listed
from parvis.api.web.instants import write_instant
from parvis.api.web.places import installation
from parvis.api.web.queries import PageQuery
from parvis.api.web.routes import Route
from parvis.api.web.shapes import Json, page
from parvis.core.errors import Unavailable
from parvis.domain.fleet.node import CODE_LIFE_MS, Node
from parvis.domain.identity.permission import Permission as May
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.flows.nodes import Joining, new_join_code

_ALL = "/v1/nodes"


async def node_place(request: Request) -> Target | None:
    """Of `{node_id}`: the installation, if there is such a machine."""
    nodes = await desk_of(request).store.nodes()
    return INSTALLATION if request.path_params["node_id"] in {node.node_id for node in nodes} else None


async def all_nodes(desk: TheDesk, query: Annotated[PageQuery, Query()]) -> Annotated[Json, Listed[NodeShown]]:
    """All that ever joined."""
    return page(await desk.store.nodes(), lambda node: node.node_id, partial(_shape, desk), query.after, query.limit)


async def new_code(desk: TheDesk) -> Annotated[Json, JoinCodeShown]:
    """A code by which one machine joins, within an hour. It is shown once."""
    code = await new_join_code(desk.store, _joining(desk).authority, desk.clock, desk.randomness)
    ends = write_instant(desk.clock.unix_ms() + CODE_LIFE_MS)
    return {"object": "node.code", "code": code.text(), "ends_at": ends}


async def remove(desk: TheDesk, node_id: str) -> Annotated[Json, NodeShown]:
    """Believe a machine no more, for good: its gateways are hung up on.

    The money that they leased stays with them until their journals have come, or until it is declared lost.
    """
    removed = await desk.store.remove_node(node_id, desk.clock.unix_ms())
    if desk.joining is not None:
        await desk.joining.changed()
    return _shape(desk, removed)


def _joining(desk: OperatorDesk) -> Joining:
    if desk.joining is None:
        raise Unavailable("No machine can join: control listens for none. Set link.listen, and restart.")
    return desk.joining


def _shape(desk: OperatorDesk, node: Node) -> Json:
    here = sum(one.node_id in (node.node_id, node.name) for one in desk.depot.replicas())
    removed = node.removed_unix_ms
    return {
        "object": "node",
        "id": node.node_id,
        "name": node.name,
        "joined_at": write_instant(node.joined_unix_ms),
        "removed_at": None if removed is None else write_instant(removed),
        "replicas": here,
    }


ROUTES = (
    Route("GET", _ALL, all_nodes, May.NODES_READ),
    Route(
        "POST",
        f"{_ALL}/codes",
        new_code,
        May.NODES_WRITE,
        201,
        target=installation,
        action="node.code_created",
        secret_answer=True,
        step_up=True,
    ),
    Route(
        "DELETE", f"{_ALL}/{{node_id}}", remove, May.NODES_WRITE, target=node_place, action="node.removed", step_up=True
    ),
)
