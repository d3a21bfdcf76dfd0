"""What the stories of deployments need from the store."""

from collections.abc import Collection
from typing import Protocol

from parvis.domain.fleet.deployment import Deployment, Wanted
from parvis.domain.fleet.replica import ReplicaState


class DeploymentStore(Protocol):
    """Deployments, and marks on replicas, whoever made them."""

    async def fleet_wanted(self) -> Wanted:
        """All of it. Cheap: asked all the time."""

    async def add_deployment(self, deployment: Deployment) -> None:
        """Raises Conflict when the id is taken."""

    async def swap_deployment(self, before: Deployment, after: Deployment) -> None:
        """Replace one that is still `before`. Raises Conflict when it has changed meanwhile, NotFound."""

    async def remove_deployment(self, deployment_id: str) -> None:
        """For good. Raises NotFound."""

    async def mark_replica(self, replica_id: str, state: ReplicaState) -> None:
        """Keep what was said of it; `ready` takes a mark away. The store does not know whether there is such a one."""

    async def forget_marks(self, replica_ids: Collection[str]) -> None:
        """Of replicas that are no more. Again is no error."""
