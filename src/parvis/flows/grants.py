"""Grants: who may do what where, since when and by whose hand. Nobody gives what they have not."""

from collections.abc import Iterable
from dataclasses import dataclass

from parvis.core.errors import BadRequest, NotFound, NotPermitted
from parvis.core.ids import new_id
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.person import Person, Realm
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import Principal
from parvis.domain.identity.role import ANYONES, RULES, Grant, Level, Role, level_of
from parvis.flows.keys import Mint
from parvis.flows.people import list_people, person_named
from parvis.flows.store import Store


@dataclass(frozen=True, slots=True)
class Access:
    """One line of "who may do what, since when, by whose grant"."""

    person: Person
    grant: Grant


def realm_of(role: Role) -> Realm:
    """Whose role it is: one of the operator's staff is granted over the installation, and no other is."""
    return Realm.OPERATOR if Level.INSTALLATION in RULES[role].levels else Realm.CUSTOMER


async def grant(store: Store, mint: Mint, actor: Principal, user_id: str, role: Role, target: Target) -> Grant:
    """Give a role to an active person. The realm is the role's.

    Raises BadRequest for a role that is not granted over places like this, NotPermitted when the actor has not all of
    its permissions there, NotFound for a person or a tenant of elsewhere, Conflict when they have it already or when it
    excludes something that they have.
    """
    realm = realm_of(role)
    person = await person_named(store, realm, user_id, target.organisation_id or None)
    await check_roles(store, actor, realm, person.organisation_id, [(role, target)])
    given = made(mint, actor.name, user_id, role, target)
    await store.people(realm).add_grant(given)
    return given


async def withdraw(store: Store, actor: Principal, grant_id: str, realm: Realm = Realm.CUSTOMER) -> Grant:
    """Take a role away again. Raises NotFound for one of elsewhere, NotPermitted, Conflict (`last_owner`)."""
    found = await store.people(realm).grant(grant_id)
    if found is None or not actor.sees(found.target):
        raise NotFound(f"There is no grant '{grant_id[:100]}'.", param="grant_id")
    check_reach(actor, found.role, found.target)
    return await store.people(realm).remove_grant(grant_id)


async def grants_of(store: Store, realm: Realm, user_id: str) -> list[Grant]:
    """What a person was granted, sorted by id. Raises NotFound."""
    await person_named(store, realm, user_id)
    return await store.people(realm).grants(user_id)


async def who_may(
    store: Store,
    realm: Realm,
    organisation_id: str | None = None,
    *,
    target: Target | None = None,
    permission: Permission | None = None,
) -> list[Access]:
    """Who may do what, since when and by whose grant; over a place and with a permission, if they are said.

    Suspended people are in it: what they have comes back with them. Sorted by e-mail, then by grant.
    """
    people = {person.user_id: person for person in await list_people(store, realm, organisation_id)}
    found = [Access(people[g.user_id], g) for g in await store.people(realm).grants() if g.user_id in people]
    wanted = [
        access
        for access in found
        if (target is None or access.grant.target.covers(target))
        and (permission is None or permission in RULES[access.grant.role].permissions)
    ]
    return sorted(wanted, key=lambda access: (access.person.email, access.grant.grant_id))


def made(mint: Mint, granted_by: str, user_id: str, role: Role, target: Target) -> Grant:
    """A grant that is not kept yet."""
    now = mint.clock.unix_ms()
    return Grant(new_id("grant", now, mint.randomness), user_id, role, target, granted_by, now)


async def check_roles(
    store: Store, actor: Principal, realm: Realm, organisation_id: str, roles: Iterable[tuple[Role, Target]]
) -> None:
    """Whether the actor may give these to somebody of this organisation. Raises what `grant` raises."""
    tenants = {tenant.tenant_id: tenant for tenant in await store.tenants()}
    for role, target in roles:
        rules = RULES[role]
        if realm_of(role) is not realm or level_of(target) not in rules.levels:
            levels = " or ".join(sorted(rules.levels))
            raise BadRequest(f"The role '{role}' is granted over: {levels}.", param="role")
        elsewhere = target.organisation_id != organisation_id
        tenant = tenants.get(target.tenant_id)
        if elsewhere or (target.tenant_id and (tenant is None or tenant.organisation_id != organisation_id)):
            raise NotFound(f"The organisation has no place '{target.tenant_id or target.organisation_id}'.")
        check_reach(actor, role, target)


def check_reach(actor: Principal, role: Role, target: Target) -> None:
    """Raises NotPermitted unless the actor has every permission of the role over that place.

    What everybody has is given by no grant: a personal token, which lacks some of it, may grant as its person may.
    """
    missing = lacking(actor, role, target)
    if missing is not None:
        raise NotPermitted(f"You cannot grant or withdraw '{role}': you lack '{missing}' there.")


def lacking(actor: Principal, role: Role, target: Target) -> Permission | None:
    """A permission of the role that the actor has not over that place; None when they have all."""
    missing = sorted(may for may in RULES[role].permissions - ANYONES if not actor.may(may, target))
    return missing[0] if missing else None
