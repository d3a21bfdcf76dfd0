"""Whose something is. Everything that the administration touches lies in one such place."""

from typing import NamedTuple


class Target(NamedTuple):
    """The whole installation (both empty), an organisation (`tenant_id` empty), or a tenant of it."""

    organisation_id: str = ""
    tenant_id: str = ""

    def covers(self, other: "Target") -> bool:
        """Whether a right over this is one over `other`: over the same place, or over a part of it."""
        if not self.organisation_id:
            return True
        if self.organisation_id != other.organisation_id:
            return False
        return not self.tenant_id or self.tenant_id == other.tenant_id


INSTALLATION = Target()
