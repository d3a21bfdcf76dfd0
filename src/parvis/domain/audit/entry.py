"""One line of the record: somebody is about to do something to something, or how that ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Step(StrEnum):
    """Which of the two lines of an act this is."""

    INTENT = "intent"
    """Written, durably, before anything happens. No line, no act."""
    OUTCOME = "outcome"
    """Written after it. When it is missing, the process died in between: the state of its object tells."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, as the record names them."""

    kind: str
    name: str
    """The name of the principal; `anybody` before one is known."""
    address: str = ""
    """Where the call came from; empty inside the service."""
    request_id: str = ""


SERVICE = Actor("service", "service")
"""What happens by itself, because its time has come."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line is never changed and never removed before its time. It holds no secret and no content."""

    entry_id: str
    """`log_` and 26 characters that sort by time."""
    at_unix_ms: int
    step: Step
    act_id: str
    """The entry id of the intent: the same in both lines of an act."""
    action: str
    """Object and verb in the past, as the field writes it: `api_key.created`, `login.failed`."""
    actor_kind: str
    actor: str
    address: str
    request_id: str
    organisation_id: str = ""
    """Whose record it stands in, beside the operator's; empty: the operator's alone."""
    tenant_id: str = ""
    objects: Mapping[str, str] = field(default_factory=dict)
    """Ids of what it is about: `{"key_id": ...}`."""
    details: Mapping[str, str] = field(default_factory=dict)
    """What was asked, as short public texts: the names of the fields that change, never a secret."""
    result: str = ""
    """Of an outcome: `ok`, or the code of the refusal."""
