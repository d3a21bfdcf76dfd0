"""How many replicas of a deployment serve, as its page tells: one that nobody can reach does not."""

from dataclasses import replace
from typing import Any

import pytest

from parvis.api.operator.app import make_app
from parvis.domain.fleet.deployment import Address, Deployment
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.flows.deployments import Depot, Seen

FAR = Deployment(deployment_id="far", pool="far", addresses=(Address("http://a:1"),))
ONE = Replica("far-0", "far", EngineKind.VLLM, "http://a:1", ReplicaState.READY)
STARTS = replace(ONE, state=ReplicaState.STARTING)
UNSEEN = Seen(why="No gateway knows it.")


@pytest.mark.parametrize(
    ("replica", "seen", "ready", "why"),
    [
        (ONE, Seen("closed", 1, why="Nothing listens there."), 0, "Nothing listens there."),
        (ONE, Seen("partly", 2, 1, why="Nothing listens there."), 1, ""),
        (ONE, UNSEEN, 1, ""),
        (STARTS, UNSEEN, 0, ""),
        (replace(STARTS, why="Too large."), UNSEEN, 0, "Too large."),
    ],
)
async def test_ready_is_what_gateways_can_use(
    premises: Any, kit: Any, replica: Replica, seen: Seen, ready: int, why: str
) -> None:
    depot = Depot(given=lambda: (FAR,), replicas=lambda: (replica,), seen=lambda _: seen)
    async with kit.client_of(make_app(replace(premises.operator_desk(), depot=depot)), kit.token) as client:
        shown = (await client.get("/v1/deployments/far")).json()
    assert (shown["ready"], shown["why"]) == (ready, why)
