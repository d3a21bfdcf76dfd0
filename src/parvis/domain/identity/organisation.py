"""Who has the contract, the parts that pay, and the groups of keys in them."""

from dataclasses import dataclass
from enum import StrEnum

from parvis.domain.identity.scope import ANY_MODEL


class Standing(StrEnum):
    """Whether an organisation, a tenant or a person is served now."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    """Nothing of it works; all of it is kept, and it can be resumed."""
    REMOVED = "removed"
    """For good. Its name stays in records."""


class Exhaustion(StrEnum):
    """What a tenant wants of a request that may be more than what is left: as in `parvis.domain.quota.limit`."""

    CLIP = "clip"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Organisation:
    """A customer: has the contract, the people and the way in which they sign in."""

    organisation_id: str
    name: str
    standing: Standing = Standing.ACTIVE
    second_factor: bool = True
    """People with local accounts must show a second factor."""
    created_unix_ms: int = 0


@dataclass(frozen=True, slots=True)
class Tenant:
    """A part of an organisation with an account, permissions and data of its own."""

    tenant_id: str
    organisation_id: str
    name: str
    credit_unlimited: bool
    """Its account is filled from the allowance whenever a lease asks for more than is left."""
    standing: Standing = Standing.ACTIVE
    models_allowed: tuple[str, ...] = (ANY_MODEL,)
    """Patterns; no key of this tenant reaches beyond them."""
    models_denied: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    """Networks from which its keys may be used; empty: from anywhere."""
    created_unix_ms: int = 0
    tier_id: str = ""
    """The class of its contract; empty: none, and only what was agreed limits it."""
    exhaustion: Exhaustion = Exhaustion.CLIP


@dataclass(frozen=True, slots=True)
class Project:
    """A group of keys of one tenant, by which usage is told apart."""

    project_id: str
    organisation_id: str
    tenant_id: str
    name: str
    archived: bool = False
    created_unix_ms: int = 0
