"""Organisations, their tenants and projects: made, renamed, given rules, suspended, resumed, removed.

Whoever acts is handed in. That the permission reaches the place was checked at the door; what is checked here is what
a permission alone does not say: only who may act on the whole installation decides whether a customer is served and
what it is owed, and nobody else widens what a tenant may use.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from parvis.core.clock import Clock
from parvis.core.errors import BadRequest, Conflict, NotFound, NotPermitted
from parvis.core.ids import Randomness, new_id
from parvis.domain.identity.organisation import Organisation, Project, Standing, Tenant
from parvis.domain.identity.patterns import network_faults, pattern_faults, within
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.domain.identity.principal import Principal
from parvis.flows.store import IdentityStore

T = TypeVar("T")
PlaceT = TypeVar("PlaceT", Organisation, Tenant)
NAME_CHARS_MAX = 100
DEFAULT_PROJECT = "Default"
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_NEXT = {Standing.SUSPENDED: Standing.ACTIVE, Standing.ACTIVE: Standing.SUSPENDED, Standing.REMOVED: Standing.SUSPENDED}
"""What something must be before it can become this."""
_DONE = {Standing.SUSPENDED: "suspended", Standing.ACTIVE: "resumed", Standing.REMOVED: "removed"}


@dataclass(frozen=True, slots=True)
class Office:
    """What these acts stand on."""

    store: IdentityStore
    clock: Clock
    randomness: Randomness


@dataclass(frozen=True, slots=True)
class TenantChange:
    """What is to be different. None: as it is."""

    name: str | None = None
    models_allowed: tuple[str, ...] | None = None
    models_denied: tuple[str, ...] | None = None
    addresses: tuple[str, ...] | None = None
    credit_unlimited: bool | None = None


# Organisations


async def create_organisation(
    office: Office, actor: Principal, name: str, organisation_id: str | None = None
) -> Organisation:
    """A new customer. Raises BadRequest for a name or id that cannot be, Conflict when the id is taken."""
    _demand_installation(actor, Permission.ORGANISATIONS_WRITE, "create organisations")
    made_id = _id(office, "org", organisation_id, "organisation_id")
    await office.store.create_organisation(made_id, _name(name, "An organisation"))
    return await organisation_of(office.store, made_id)


async def change_organisation(
    office: Office, organisation_id: str, *, name: str | None = None, second_factor: bool | None = None
) -> Organisation:
    """Another name, or another rule for second factors. Raises NotFound, BadRequest, Conflict for a removed one."""
    before = _alive(await organisation_of(office.store, organisation_id))
    after = replace(
        before,
        name=before.name if name is None else _name(name, "An organisation"),
        second_factor=before.second_factor if second_factor is None else second_factor,
    )
    if after != before:
        await office.store.put_organisation(after)
    return after


async def suspend_organisation(office: Office, actor: Principal, organisation_id: str) -> Organisation:
    """Serve it no more, within a second and until it is resumed: neither its keys nor its people. Again is no error."""
    return await _stand_organisation(office, actor, organisation_id, Standing.SUSPENDED)


async def resume_organisation(office: Office, actor: Principal, organisation_id: str) -> Organisation:
    """Serve it again. Again is no error; Conflict for a removed one."""
    return await _stand_organisation(office, actor, organisation_id, Standing.ACTIVE)


async def remove_organisation(office: Office, actor: Principal, organisation_id: str) -> Organisation:
    """For good, and all its keys with it. Raises Conflict unless it is suspended."""
    removed = await _stand_organisation(office, actor, organisation_id, Standing.REMOVED)
    await _revoke_keys(office, [t.tenant_id for t in await tenants_of(office.store, organisation_id)])
    return removed


async def organisation_of(store: IdentityStore, organisation_id: str) -> Organisation:
    """The one of this id. Raises NotFound."""
    for organisation in await store.organisations():
        if organisation.organisation_id == organisation_id:
            return organisation
    raise NotFound(f"There is no organisation '{organisation_id[:100]}'.", param="organisation_id")


async def organisation_page(
    store: IdentityStore, actor: Principal, after: str | None, limit: int
) -> tuple[list[Organisation], str | None]:
    """The next ones after an id that the actor may read, sorted by id; and what to say for the following page."""
    seen = [
        organisation
        for organisation in await store.organisations()
        if actor.may(Permission.ORGANISATIONS_READ, Target(organisation.organisation_id))
    ]
    return _page(seen, lambda organisation: organisation.organisation_id, after, limit)


async def _stand_organisation(
    office: Office, actor: Principal, organisation_id: str, standing: Standing
) -> Organisation:
    _demand_installation(actor, Permission.ORGANISATIONS_WRITE, "decide whether an organisation is served")
    before = await organisation_of(office.store, organisation_id)
    _check_step(f"Organisation '{organisation_id}'", before.standing, standing)
    after = replace(before, standing=standing)
    if after != before:
        await office.store.put_organisation(after)
    return after


# Tenants


async def create_tenant(
    office: Office,
    actor: Principal,
    organisation_id: str,
    name: str,
    tenant_id: str | None = None,
    *,
    credit_unlimited: bool = False,
) -> Tenant:
    """A new part of an organisation, with its default project. It can spend when the operator gives it credit.

    Raises BadRequest for a name or id that cannot be, NotFound, Conflict when the id is taken or the organisation
    removed, NotPermitted when it shall spend without limit and the actor is not the operator.
    """
    _alive(await organisation_of(office.store, organisation_id))
    if credit_unlimited:
        _demand_installation(actor, Permission.CREDITS_WRITE, "let a tenant spend without limit")
    made_id = _id(office, "tenant", tenant_id, "tenant_id")
    await office.store.create_tenant(
        made_id, organisation_id, _name(name, "A tenant"), credit_unlimited=credit_unlimited
    )
    made = await tenant_of(office.store, made_id)
    await default_project(office, made)
    return made


async def change_tenant(office: Office, actor: Principal, tenant_id: str, change: TenantChange) -> Tenant:
    """Another name, other rules. They hold at every gateway within a second.

    Raises NotFound, BadRequest naming what is wrong, Conflict for a removed one; NotPermitted when models would be
    allowed that were not, or credit would become unlimited, and the actor is not the operator.
    """
    before = _alive(await tenant_of(office.store, tenant_id))
    said = {
        field: value
        for field in ("models_allowed", "models_denied", "addresses", "credit_unlimited")
        if (value := getattr(change, field)) is not None
    }
    if change.name is not None:
        said["name"] = _name(change.name, "A tenant")
    after = replace(before, **said)
    _check_rules(after)
    _check_widening(actor, before, after)
    if after != before:
        await office.store.put_tenant(after)
    return after


async def suspend_tenant(office: Office, actor: Principal, tenant_id: str) -> Tenant:
    """Serve it no more, within a second and until it is resumed. Again is no error."""
    return await _stand_tenant(office, actor, tenant_id, Standing.SUSPENDED)


async def resume_tenant(office: Office, actor: Principal, tenant_id: str) -> Tenant:
    """Serve it again, if its organisation is served. Again is no error; Conflict for a removed one."""
    return await _stand_tenant(office, actor, tenant_id, Standing.ACTIVE)


async def remove_tenant(office: Office, actor: Principal, tenant_id: str) -> Tenant:
    """For good, and all its keys with it. Its usage and its account stay. Raises Conflict unless it is suspended."""
    removed = await _stand_tenant(office, actor, tenant_id, Standing.REMOVED)
    await _revoke_keys(office, [tenant_id])
    return removed


async def tenant_of(store: IdentityStore, tenant_id: str) -> Tenant:
    """The one of this id. Raises NotFound."""
    found = await store.tenant(tenant_id)
    if found is None:
        raise NotFound(f"There is no tenant '{tenant_id[:100]}'.", param="tenant_id")
    return found


async def tenants_of(store: IdentityStore, organisation_id: str) -> list[Tenant]:
    """All of an organisation, sorted by id."""
    return [tenant for tenant in await store.tenants() if tenant.organisation_id == organisation_id]


async def tenant_page(
    store: IdentityStore, actor: Principal, organisation_id: str | None, after: str | None, limit: int
) -> tuple[list[Tenant], str | None]:
    """The next ones after an id that the actor may read, of one organisation or of all."""
    seen = [
        tenant
        for tenant in await store.tenants()
        if organisation_id in (None, tenant.organisation_id)
        and actor.may(Permission.TENANTS_READ, Target(tenant.organisation_id, tenant.tenant_id))
    ]
    return _page(seen, lambda tenant: tenant.tenant_id, after, limit)


async def _stand_tenant(office: Office, actor: Principal, tenant_id: str, standing: Standing) -> Tenant:
    _demand_installation(actor, Permission.TENANTS_WRITE, "decide whether a tenant is served")
    before = await tenant_of(office.store, tenant_id)
    _check_step(f"Tenant '{tenant_id}'", before.standing, standing)
    after = replace(before, standing=standing)
    if after != before:
        await office.store.put_tenant(after)
    return after


# Projects


async def create_project(office: Office, tenant_id: str, name: str, project_id: str | None = None) -> Project:
    """A new group of keys. Raises NotFound, BadRequest, Conflict when the id is taken or the tenant removed."""
    tenant = _alive(await tenant_of(office.store, tenant_id))
    made_id = _id(office, "proj", project_id, "project_id")
    made = Project(
        made_id,
        tenant.organisation_id,
        tenant.tenant_id,
        _name(name, "A project"),
        created_unix_ms=office.clock.unix_ms(),
    )
    await office.store.add_project(made)
    return made


async def default_project(office: Office, tenant: Tenant) -> Project:
    """The project that every tenant has; made if a death in between, or an older release, left it out."""
    project_id = default_project_id(tenant.tenant_id)
    found = [p for p in await projects_of(office.store, tenant.tenant_id) if p.project_id == project_id]
    if found:
        return found[0]
    now = office.clock.unix_ms()
    made = Project(project_id, tenant.organisation_id, tenant.tenant_id, DEFAULT_PROJECT, created_unix_ms=now)
    with suppress(Conflict):  # made at the same moment by another
        await office.store.add_project(made)
    return made


def default_project_id(tenant_id: str) -> str:
    """What it is called by."""
    return f"default-{tenant_id}"


async def change_project(
    office: Office, project_id: str, *, name: str | None = None, archived: bool | None = None
) -> Project:
    """Another name; archived, or taken up again. Keys of an archived project go on working. Raises NotFound."""
    before = await project_of(office.store, project_id)
    after = replace(
        before,
        name=before.name if name is None else _name(name, "A project"),
        archived=before.archived if archived is None else archived,
    )
    if after != before:
        await office.store.put_project(after)
    return after


async def project_of(store: IdentityStore, project_id: str) -> Project:
    """The one of this id. Raises NotFound."""
    for project in await store.projects():
        if project.project_id == project_id:
            return project
    raise NotFound(f"There is no project '{project_id[:100]}'.", param="project_id")


async def projects_of(store: IdentityStore, tenant_id: str) -> list[Project]:
    """All of a tenant, archived ones included, sorted by id."""
    return [project for project in await store.projects() if project.tenant_id == tenant_id]


async def project_page(
    store: IdentityStore, actor: Principal, tenant_id: str | None, after: str | None, limit: int
) -> tuple[list[Project], str | None]:
    """The next ones after an id that the actor may read, of one tenant or of all."""
    seen = [
        project
        for project in await store.projects()
        if tenant_id in (None, project.tenant_id)
        and actor.may(Permission.PROJECTS_READ, Target(project.organisation_id, project.tenant_id))
    ]
    return _page(seen, lambda project: project.project_id, after, limit)


# What must hold


def _demand_installation(actor: Principal, permission: Permission, what: str) -> None:
    if not actor.may(permission, INSTALLATION):
        raise NotPermitted(f"Only the operator can {what}: it needs '{permission}' over the whole installation.")


def _check_step(what: str, before: Standing, after: Standing) -> None:
    if before in (after, _NEXT[after]):
        return
    if after is Standing.REMOVED:
        raise Conflict(f"{what} is {before}. Suspend it first; what is removed does not come back.")
    raise Conflict(f"{what} was removed for good and cannot be {_DONE[after]}.")


def _check_rules(tenant: Tenant) -> None:
    rules = (
        ("models_allowed", pattern_faults(tenant.models_allowed)),
        ("models_denied", pattern_faults(tenant.models_denied)),
        ("addresses", network_faults(tenant.addresses)),
    )
    for field, faults in rules:
        if faults:
            raise BadRequest(" ".join(faults[:3]), param=field)


def _check_widening(actor: Principal, before: Tenant, after: Tenant) -> None:
    """Who may act on the tenant alone can narrow what it may use; widening is for who gave it."""
    if actor.may(Permission.TENANTS_WRITE, INSTALLATION):
        return
    wider = [pattern for pattern in after.models_allowed if not within(pattern, before.models_allowed)]
    lifted = [pattern for pattern in before.models_denied if not within(pattern, after.models_denied)]
    if wider or lifted or (after.credit_unlimited and not before.credit_unlimited):
        named = ", ".join(f"'{pattern}'" for pattern in (wider or lifted)[:3]) or "unlimited credit"
        raise NotPermitted(f"Only the operator can give this tenant more than it has: {named}. Ask your operator.")


def _alive(found: PlaceT) -> PlaceT:
    if found.standing is Standing.REMOVED:
        raise Conflict(f"'{found.name}' was removed for good. Nothing of it can be changed.")
    return found


async def _revoke_keys(office: Office, tenant_ids: Sequence[str]) -> None:
    for key in await office.store.keys():
        if key.active and key.tenant_id in tenant_ids:
            await office.store.revoke_key(key.key_id)


def _name(name: str, what: str) -> str:
    if not 0 < len(name.strip()) <= NAME_CHARS_MAX or not name.isprintable():
        raise BadRequest(f"{what} needs a name of 1 to {NAME_CHARS_MAX} printable characters.", param="name")
    return name.strip()


def _id(office: Office, prefix: str, wanted: str | None, param: str) -> str:
    if wanted is None:
        return new_id(prefix, office.clock.unix_ms(), office.randomness)
    if not _ID.fullmatch(wanted):
        raise BadRequest(
            f"'{wanted[:100]}' cannot be an id: use 1 to 64 small letters, digits, - and _, a letter or digit first.",
            param=param,
        )
    return wanted


def _page(items: Sequence[T], id_of: Callable[[T], str], after: str | None, limit: int) -> tuple[list[T], str | None]:
    rest = [item for item in items if after is None or id_of(item) > after]
    shown = rest[:limit]
    return shown, id_of(shown[-1]) if len(rest) > limit else None
