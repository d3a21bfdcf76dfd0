"""What gateways are asked about routing, and what they say: each decides by what it sees itself."""

from dataclasses import dataclass
from typing import NamedTuple

from parvis.domain.fleet.explained import Explained


class Told(NamedTuple):
    """What one gateway says of a request."""

    gateway: str
    explained: Explained


@dataclass(frozen=True, slots=True)
class Hearing:
    """What those say that know something."""

    asked: int
    silent: int
    """Of these, who did not answer in time."""
    told: tuple[Told, ...]


@dataclass(frozen=True, slots=True)
class Supposed:
    """What a request would be, as routing sees it. Its texts go to gateways and are kept nowhere."""

    pool: str
    tenant_id: str
    tokens: int
    texts: tuple[str, ...]
