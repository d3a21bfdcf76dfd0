"""Where a replica finds itself: its node, its name, and the way to the registry."""

from contextlib import suppress

import ray
from ray import serve
from ray.exceptions import RayError

from parvis.adapters.ray.registry import Facts
from parvis.domain.fleet.deployment import suffixed

NAMESPACE = "parvis"


class Place:
    """Of one replica. Its calls never raise: the registry may be away, and comes back."""

    def __init__(self, replica_id: str, host: str, registry: str) -> None:
        self.replica_id = replica_id
        self.host = host
        self._name = registry
        self._registry: ray.actor.ActorHandle | None = None

    async def beat(self, said: Facts) -> str:
        """Register, or say that we still live. Our certificate once it is signed, or nothing."""
        try:
            registry = self._found()
            certificate: str = await registry.hear.remote(self.replica_id, said)
        except (RayError, ValueError):
            self._registry = None
            return ""
        return certificate

    async def leave(self) -> None:
        """Nobody shall call us any more."""
        with suppress(RayError, ValueError):
            await self._found().leave.remote(self.replica_id)

    def _found(self) -> "ray.actor.ActorHandle":
        """Raises ValueError while there is none."""
        if self._registry is None:
            self._registry = ray.get_actor(self._name, namespace=NAMESPACE)
        return self._registry


def here(registry: str, deployment_id: str) -> Place:
    """Of the replica that asks."""
    own = serve.get_replica_context().replica_id.unique_id
    return Place(suffixed(deployment_id, own.encode()), ray.util.get_node_ip_address(), registry)
