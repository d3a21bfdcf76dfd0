"""What the books say of themselves: what they refused, and what they found when they looked."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unbooked:
    """A request that the books refused. It is not in any sum."""

    request_id: str
    incarnation: str
    tenant_id: str
    record: str
    """What the journal had of it, in JSON."""
    reason: str
    at_unix_ms: int
    note: str
    """What an operator has found out about it; empty as long as nobody has looked into it."""


@dataclass(frozen=True, slots=True)
class Checked:
    """How the books stood at the last self-check."""

    at_unix_ms: int
    whole_unix_ms: int
    """When everything was added up for the last time."""
    differences: tuple[str, ...]
