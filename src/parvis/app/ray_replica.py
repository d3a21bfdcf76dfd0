"""One replica on a Ray cluster: an actor of Ray Serve that keeps an engine server, opens its door and registers it.

Requests never pass through the actor's methods: gateways call the door. Ray asks it whether it is well and how busy it
is, replaces it when it is not, and tells it when it must go; then it leaves only when nothing runs on it any more.
"""

import asyncio
import os
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from parvis.adapters.certificates.authority import client_request
from parvis.adapters.engines.weights import locate
from parvis.adapters.ray.door import Door, door_context
from parvis.adapters.ray.engine_server import EngineServer
from parvis.adapters.ray.facts import ReplicaFacts
from parvis.adapters.ray.place import Place, here
from parvis.adapters.ray.registry import BEAT_S
from parvis.adapters.ray.scaling import BUSY
from parvis.core.errors import Failure, Unavailable
from parvis.domain.fleet.deployment import Deployment
from parvis.domain.fleet.replica import EngineKind, ReplicaState

CACHE = Path("~/.cache/parvis")
POLL_S = 0.2
TOLD_S = 3.0
"""By then every gateway knows that nothing new may come."""


class EngineReplica:
    """What Ray Serve makes on a node. `wanted` is a `Deployment` in plain values."""

    async def __init__(self, wanted: Mapping[str, Any], registry: str) -> None:  # type: ignore[misc]  # Ray awaits it
        deployment = msgspec.convert(wanted, Deployment)
        self._place: Place = here(registry, deployment.deployment_id)
        key, request = client_request(deployment.deployment_id)
        self._well = True
        self._facts = ReplicaFacts(
            deployment_id=deployment.deployment_id,
            host=self._place.host,
            api_key=secrets.token_hex(16),
            request=request.decode(),
        )
        self._door = Door(self._place.host)
        self._certified: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._beating = asyncio.create_task(self._beat_for_ever())
        self._server = await self._start(deployment)
        port = await self._door.open(door_context(await self._certified, key), self._server.port)
        self._facts = replace(self._facts, state=ReplicaState.READY, port=port, request="")
        await self._beat()

    async def check_health(self) -> None:
        """Raises Unavailable; after three times Ray puts another in this one's place."""
        self._well = await self._server.healthy()
        if not self._well:
            raise Unavailable("The engine server does not answer.")

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """What `scaling` reads."""
        return {BUSY: float(await self._server.busy())}

    async def __del__(self) -> None:
        """Ray wants it to end, and waits for as long as the deployment says: what runs may finish."""
        self._facts = replace(self._facts, state=ReplicaState.DRAINING)
        await self._beat()
        told_s = asyncio.get_running_loop().time() + TOLD_S
        while await self._needed(told_s):  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(POLL_S)
        self._beating.cancel()
        self._door.close()
        await self._place.leave()
        self._server.end()

    async def _needed(self, told_s: float) -> bool:
        """Whether something runs on it, or may still come. Of one that is not well, nobody hears any more."""
        if not (self._server.lives and self._well):
            return False
        try:
            return asyncio.get_running_loop().time() < told_s or await self._server.busy() > 0
        except Unavailable:
            return True

    async def _start(self, deployment: Deployment) -> EngineServer:
        """Raises Failure with the sentence of what is missing on this node."""
        weights = deployment.weights
        if deployment.kind is EngineKind.LLAMA_CPP:
            weights = str(await asyncio.to_thread(_locate, weights))
        spec = {
            "weights": weights,
            "alias": deployment.alias,
            "kind": "embedding" if deployment.embedding else "chat",
            "api_key": self._facts.api_key,
            "parallel": deployment.parallel,
            "context": deployment.context_tokens,
            "threads": deployment.threads,
        }
        if deployment.kind is EngineKind.VLLM:
            spec["gpus"] = deployment.gpus
        server = EngineServer(deployment.kind, spec, os.environ)
        try:
            await server.ready()
        except Failure:
            server.end()
            raise
        return server

    async def _beat_for_ever(self) -> None:
        while True:
            await self._beat()
            await asyncio.sleep(BEAT_S)

    async def _beat(self) -> None:
        """Say that we live, as long as the engine does. While the registry is away, the next beat may reach it."""
        if self._facts.state is not ReplicaState.STARTING and not self._server.lives:
            await self._place.leave()
            return
        certificate = await self._place.beat(self._facts.said())
        if certificate and not self._certified.done():
            self._certified.set_result(certificate)


def _locate(weights: str) -> Path:
    cache = CACHE.expanduser()
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    return locate(weights, cache)
