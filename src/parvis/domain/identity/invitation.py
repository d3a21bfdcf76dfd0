"""A link: it asks somebody in with the roles that wait for them, or lets somebody who is in come back. Good once."""

from dataclasses import dataclass
from enum import StrEnum

from parvis.domain.identity.place import Target
from parvis.domain.identity.role import Role

LIFE_MS = 7 * 86_400_000


class InvitationState(StrEnum):
    """What became of it."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Invitation:
    """Of an organisation, or of the operator's staff (without one)."""

    invitation_id: str
    organisation_id: str
    email: str
    roles: tuple[tuple[Role, Target], ...]
    invited_by: str
    """The name of a principal; the grants will be in its name."""
    created_unix_ms: int
    ends_unix_ms: int
    state: InvitationState = InvitationState.PENDING
    user_id: str = ""
    """Who sets another password with it, after a reset of their sign-in; empty for who is nobody yet."""

    def open(self, now_unix_ms: int) -> bool:
        """Whether it can be accepted."""
        return self.state is InvitationState.PENDING and now_unix_ms < self.ends_unix_ms
