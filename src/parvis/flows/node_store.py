"""What the stories of machines need from the store."""

from typing import Protocol

from parvis.domain.fleet.node import Node


class NodeStore(Protocol):
    """Machines that have joined, and codes that were not used yet."""

    async def add_join_code(self, digest: str, ends_unix_ms: int) -> None:
        """Keep it until it is used or has ended."""

    async def redeem_join_code(self, digest: str, node: Node) -> None:
        """Take the code and keep the machine, or neither. Raises NotPermitted for a code that is unknown or ended."""

    async def nodes(self) -> list[Node]:
        """All, those that were removed included, sorted by id."""

    async def remove_node(self, node_id: str, at_unix_ms: int) -> Node:
        """For good; again is no error. Raises NotFound."""
