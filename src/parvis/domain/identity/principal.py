"""Somebody whose credential was right, and what they may do where."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.domain.identity.role import ANYONES, RULES, Grant, Role


class Kind(StrEnum):
    """By what somebody was known."""

    NOBODY = "nobody"
    OPERATOR_TOKEN = "operator_token"  # noqa: S105 - the name of a kind, not a credential
    OPERATOR = "operator"
    USER = "user"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class Right:
    """Permissions over a place and all that is in it."""

    permissions: frozenset[Permission]
    target: Target


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `name` is what records and grants say: `user usr_…`, `key …`, `operator token`."""

    name: str
    kind: Kind
    subject_id: str = ""
    """The user, operator or key; empty for nobody and for the operator's token."""
    organisation_id: str = ""
    rights: tuple[Right, ...] = ()
    key: ApiKey | None = None
    session_id: str = ""
    """The session or personal token by which a person came; empty otherwise."""
    proven_unix_ms: int = 0
    """When a second factor (or the password, where no second factor is demanded) was last shown in this session."""
    by_cookie: bool = False
    """Whether a browser sent the credential by itself, so that the page that asks must be ours."""
    tags: frozenset[str] = field(default_factory=frozenset)
    """Restrictions that the credential carries, like `must_enrol`: only what such a one needs is open to it."""

    def may(self, permission: Permission, target: Target) -> bool:
        """Whether this is allowed there."""
        return any(permission in right.permissions and right.target.covers(target) for right in self.rights)

    def may_somewhere(self, permission: Permission) -> bool:
        """Whether there is any place where this is allowed."""
        return any(permission in right.permissions for right in self.rights)

    def sees(self, target: Target) -> bool:
        """Whether this place exists for them: they have some right over it, or over a part of it.

        What everybody of an organisation has shows them nothing of it.
        """
        return any(
            right.permissions - ANYONES and (right.target.covers(target) or target.covers(right.target))
            for right in self.rights
        )

    def places(self, permission: Permission) -> tuple[Target, ...]:
        """Where this is allowed, without places that lie in others of them; sorted."""
        found = {right.target for right in self.rights if permission in right.permissions}
        return tuple(sorted(t for t in found if not any(o != t and o.covers(t) for o in found)))


KEY_PERMISSIONS = frozenset(
    {
        Permission.OPENAPI_READ,
        Permission.KEY_SYNC,
        Permission.OWN_ACCOUNT_READ,
        Permission.OWN_USAGE_READ,
        Permission.OWN_REQUESTS_READ,
        Permission.RECEIPTS_READ,
        Permission.OWN_MODELS_READ,
        Permission.ESTIMATES_READ,
    }
)
"""What an API key may ask of the console listener: sees its tenant, changes nothing but its own secret."""

ANYBODY = Principal(
    "anybody",
    Kind.NOBODY,
    rights=(Right(frozenset({Permission.HEALTH_READ, Permission.SIGN_IN, Permission.KEY_REPORT}), INSTALLATION),),
)
"""Who has shown no credential: probes of a machine, people who sign in, finders of a leaked key."""


def rights_of(grants: Iterable[Grant]) -> tuple[Right, ...]:
    """What roles give, each over its place."""
    return tuple(Right(RULES[grant.role].permissions, grant.target) for grant in grants)


def operator() -> Principal:
    """Who holds the operator's token."""
    return Principal(
        "operator token",
        Kind.OPERATOR_TOKEN,
        rights=(Right(RULES[Role.OPERATOR].permissions, INSTALLATION),),
    )


def customer(key: ApiKey) -> Principal:
    """Who holds an API key."""
    return Principal(
        f"key {key.key_id}",
        Kind.KEY,
        key.key_id,
        key.organisation_id,
        (Right(KEY_PERMISSIONS, Target(key.organisation_id, key.tenant_id)),),
        key,
    )
