"""Roles: named sets of permissions, where each can be granted, and which ones nobody may have together."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from parvis.domain.identity.permission import Permission as May
from parvis.domain.identity.place import Target


class Role(StrEnum):
    """From the widest to the narrowest."""

    OPERATOR = "operator"
    OPERATOR_AUDITOR = "operator_auditor"
    ORGANISATION_OWNER = "organisation_owner"
    TENANT_OWNER = "tenant_owner"
    DEVELOPER = "developer"
    BILLING_READER = "billing_reader"
    AUDITOR = "auditor"
    MEMBER = "member"


class Level(StrEnum):
    """How large the place is over which a role can be granted."""

    INSTALLATION = "installation"
    ORGANISATION = "organisation"
    TENANT = "tenant"


@dataclass(frozen=True, slots=True)
class RoleRules:
    """What a role gives, and where."""

    permissions: frozenset[May]
    levels: frozenset[Level]
    excludes: frozenset[Role] = frozenset()
    """Roles that the same person may not have over a place that both reach."""


ANYONES = frozenset(
    {
        May.OPENAPI_READ,
        May.OWN_SESSION,
        May.OWN_FACTORS_WRITE,
        May.OWN_PROFILE_READ,
        May.OWN_PROFILE_WRITE,
    }
)
"""What a person may do who was granted nothing."""

_MEMBER = ANYONES | {May.MODELS_READ, May.TENANTS_READ, May.ESTIMATES_READ}
_BILLING = ANYONES | {
    May.TENANTS_READ,
    May.LIMITS_READ,
    May.USAGE_READ,
    May.COSTS_READ,
    May.BALANCES_READ,
    May.PRICES_READ,
    May.ESTIMATES_READ,
    May.RECEIPTS_READ,
    May.INVOICES_READ,
}
_AUDITOR = ANYONES | {
    May.ORGANISATIONS_READ,
    May.SIGN_IN_READ,
    May.TENANTS_READ,
    May.PROJECTS_READ,
    May.USERS_READ,
    May.GRANTS_READ,
    May.KEYS_READ,
    May.MODELS_READ,
    May.LIMITS_READ,
    May.USAGE_READ,
    May.COSTS_READ,
    May.REQUESTS_READ,
    May.RECEIPTS_READ,
    May.INVOICES_READ,
    May.AUDIT_READ,
    May.REVIEWS_READ,
    May.NOTICES_READ,
}
_DEVELOPER = _MEMBER | {
    May.PROJECTS_READ,
    May.KEYS_READ,
    May.KEYS_WRITE,
    May.LIMITS_READ,
    May.USAGE_READ,
    May.REQUESTS_READ,
    May.RECEIPTS_READ,
    May.NOTICES_READ,
}
_TENANT_OWNER = (
    _DEVELOPER
    | _BILLING
    | {
        May.TENANTS_WRITE,
        May.PROJECTS_WRITE,
        May.LIMITS_WRITE,
        May.USERS_READ,
        May.USERS_WRITE,
        May.GRANTS_READ,
        May.GRANTS_WRITE,
        May.AUDIT_READ,
        May.REVIEWS_READ,
        May.REVIEWS_WRITE,
        May.NOTICES_WRITE,
    }
)
_ORGANISATION_OWNER = _TENANT_OWNER | {
    May.ORGANISATIONS_READ,
    May.ORGANISATIONS_WRITE,
    May.SIGN_IN_READ,
    May.SIGN_IN_WRITE,
}
_OPERATOR = frozenset(
    may
    for may in May
    if may not in {May.SIGN_IN, May.KEY_REPORT, May.KEY_SYNC} and (not may.startswith("own.") or may in ANYONES)
)
_OPERATOR_AUDITOR = frozenset(may for may in _OPERATOR if may.endswith(".read")) | ANYONES | {May.LEDGER_CHECK}

_OF_OPERATORS = frozenset({Level.INSTALLATION})
_OF_ORGANISATIONS = frozenset({Level.ORGANISATION})
_OF_BOTH = frozenset({Level.ORGANISATION, Level.TENANT})
_OF_TENANTS = frozenset({Level.TENANT})
_ACTING = frozenset({Role.ORGANISATION_OWNER, Role.TENANT_OWNER, Role.DEVELOPER})

RULES: dict[Role, RoleRules] = {
    Role.OPERATOR: RoleRules(_OPERATOR, _OF_OPERATORS, frozenset({Role.OPERATOR_AUDITOR})),
    Role.OPERATOR_AUDITOR: RoleRules(_OPERATOR_AUDITOR, _OF_OPERATORS, frozenset({Role.OPERATOR})),
    Role.ORGANISATION_OWNER: RoleRules(_ORGANISATION_OWNER, _OF_ORGANISATIONS, frozenset({Role.AUDITOR})),
    Role.TENANT_OWNER: RoleRules(_TENANT_OWNER, _OF_TENANTS, frozenset({Role.AUDITOR})),
    Role.DEVELOPER: RoleRules(_DEVELOPER, _OF_TENANTS, frozenset({Role.AUDITOR})),
    Role.BILLING_READER: RoleRules(_BILLING, _OF_BOTH),
    Role.AUDITOR: RoleRules(_AUDITOR, _OF_BOTH, _ACTING),
    Role.MEMBER: RoleRules(_MEMBER, _OF_BOTH),
}
"""Who audits does not act on what they audit; who acts does not audit it."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One role of one person over one place, and by whom and since when."""

    grant_id: str
    user_id: str
    role: Role
    target: Target
    granted_by: str
    """The name of a principal."""
    granted_unix_ms: int


def level_of(target: Target) -> Level:
    """How large a place is."""
    if target.tenant_id:
        return Level.TENANT
    return Level.ORGANISATION if target.organisation_id else Level.INSTALLATION


def clash(role: Role, target: Target, held: Iterable[Grant]) -> Grant | None:
    """A grant that its owner already has and that excludes this one; None when they go together."""
    for grant in held:
        reach = grant.target.covers(target) or target.covers(grant.target)
        if reach and (grant.role in RULES[role].excludes or role in RULES[grant.role].excludes):
            return grant
    return None
