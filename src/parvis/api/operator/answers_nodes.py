"""What the routes of machines answer."""

from typing import Literal

from parvis.api.web.answers import Instant, Shape


class JoinCode(Shape):
    """Shown once."""

    object: Literal["node.code"]
    code: str
    ends_at: Instant


class Node(Shape):
    """A machine with gateways beside control's."""

    object: Literal["node"]
    id: str
    name: str
    joined_at: Instant
    removed_at: Instant | None
    replicas: int
    """Running there, as far as is known."""
