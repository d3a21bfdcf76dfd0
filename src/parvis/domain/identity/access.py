"""Who may do what, since when and by whose grant: read from grants and keys, for a user, a tenant or a model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.organisation import Organisation, Standing, Tenant
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.person import Person
from parvis.domain.identity.place import Target
from parvis.domain.identity.role import RULES, Grant
from parvis.domain.identity.scope import names_match


class Means(StrEnum):
    """By what somebody has access."""

    GRANT = "grant"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class Access:
    """One right of one person or key."""

    means: Means
    object_id: str
    """The grant or key."""
    who_id: str
    """The user, or the owner of the key; empty for a key of the tenant's own."""
    who: str
    """The e-mail address, or the key's name."""
    what: str
    """The role, or what the key's scope is, in words."""
    target: Target
    since_unix_ms: int
    granted_by: str
    """The name of a principal; empty when nobody recorded it."""
    last_used_unix_ms: int | None = None
    ends_unix_ms: int | None = None
    works: bool = True
    """Whether it can be used now: person, tenant and organisation are served, and it has not ended."""


@dataclass(frozen=True, slots=True)
class Census:
    """All that access follows from, at one instant."""

    now_unix_ms: int
    organisations: Sequence[Organisation]
    tenants: Sequence[Tenant]
    people: Sequence[Person]
    grants: Sequence[Grant]
    keys: Sequence[ApiKey]
    uses: Mapping[str, int] = field(default_factory=dict)
    """When each key was last used; a key that is missing never was."""


def accesses(census: Census) -> list[Access]:
    """All that there are: every grant, and every key that was not revoked; sorted by place, kind and id."""
    served = _Served(census)
    people = {person.user_id: person for person in census.people}
    grants = [_of_grant(grant, people.get(grant.user_id), served) for grant in census.grants]
    keys = [_of_key(key, census, served) for key in census.keys if key.active]
    return sorted(grants + keys, key=lambda access: (access.target, access.means, access.object_id))


def of_user(found: Iterable[Access], user_id: str) -> list[Access]:
    """What one person has: grants, and keys that go with that person."""
    return [access for access in found if access.who_id == user_id]


def of_place(found: Iterable[Access], target: Target) -> list[Access]:
    """What reaches a place: rights over it, over what it lies in, and over its parts."""
    return [access for access in found if access.target.covers(target) or target.covers(access.target)]


def of_model(census: Census, tenant: Tenant, names: Sequence[str]) -> list[Access]:
    """Who can use the model of these names (id and aliases) in a tenant, now: keys, and people who could make one."""
    here = Target(tenant.organisation_id, tenant.tenant_id)
    if not names_match(names, tenant.models_allowed, tenant.models_denied) or not _Served(census)(here):
        return []
    reaching = {key.key_id for key in census.keys if key.tenant_id == tenant.tenant_id and reaches(key, names)}
    makers = {grant.grant_id for grant in census.grants if grant.target.covers(here) and makes_keys(grant)}
    return [
        access
        for access in accesses(census)
        if access.works
        and (access.object_id in reaching if access.means is Means.KEY else access.object_id in makers)
        and (access.means is Means.GRANT or access.target == here)
    ]


def reaches(key: ApiKey, names: Sequence[str]) -> bool:
    """Whether a key's own scope allows a model of these names at an endpoint."""
    return bool(key.scope.endpoints) and names_match(names, key.scope.models_allowed, key.scope.models_denied)


def makes_keys(grant: Grant) -> bool:
    """Whether who has this grant can make a key in its place."""
    return Permission.KEYS_WRITE in RULES[grant.role].permissions


def unused(found: Iterable[Access], before_unix_ms: int) -> list[Access]:
    """Keys that were last used, or if never were made, before an instant."""
    return [
        access
        for access in found
        if access.means is Means.KEY and (access.last_used_unix_ms or access.since_unix_ms) < before_unix_ms
    ]


class _Served:
    """Which places are served, looked up once."""

    def __init__(self, census: Census) -> None:
        self.now_unix_ms = census.now_unix_ms
        self._idle = {o.organisation_id for o in census.organisations if o.standing is not Standing.ACTIVE}
        self._idle_tenants = {t.tenant_id for t in census.tenants if t.standing is not Standing.ACTIVE}

    def __call__(self, target: Target) -> bool:
        return target.organisation_id not in self._idle and target.tenant_id not in self._idle_tenants


def _of_grant(grant: Grant, person: Person | None, served: _Served) -> Access:
    active = person is not None and person.standing is Standing.ACTIVE
    return Access(
        Means.GRANT,
        grant.grant_id,
        grant.user_id,
        person.email if person else grant.user_id,
        grant.role,
        grant.target,
        grant.granted_unix_ms,
        grant.granted_by,
        person.last_seen_unix_ms if person else None,
        works=active and served(grant.target),
    )


def _of_key(key: ApiKey, census: Census, served: _Served) -> Access:
    target = Target(key.organisation_id, key.tenant_id)
    ended = key.ends_unix_ms is not None and key.ends_unix_ms <= census.now_unix_ms
    return Access(
        Means.KEY,
        key.key_id,
        key.owner_id,
        key.name,
        scope_words(key),
        target,
        key.created_unix_ms,
        f"user {key.owner_id}" if key.owner_id else "",
        census.uses.get(key.key_id),
        key.ends_unix_ms,
        works=not ended and served(target),
    )


def scope_words(key: ApiKey) -> str:
    """What a key is for, as a reviewer reads it: `models a, b* but not c; at chat; from 192.0.2.0/24`."""
    scope = key.scope
    said = "models " + (", ".join(scope.models_allowed) or "none")
    if scope.models_denied:
        said += " but not " + ", ".join(scope.models_denied)
    said += "; at " + (", ".join(scope.endpoints) or "nothing")
    return said + (f"; from {', '.join(scope.addresses)}" if scope.addresses else "")
