"""One person in one place: the roles that they have over exactly it, seen and set as a whole."""

from collections.abc import Iterable

from parvis.core.errors import Conflict, NotFound
from parvis.domain.identity.owners import OWNERS
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.person import Person, Realm
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import Principal
from parvis.domain.identity.role import Grant, Role, clash
from parvis.flows.grants import check_reach, check_roles, grant, withdraw
from parvis.flows.keys import Mint
from parvis.flows.people import list_people, person_named
from parvis.flows.store import Store

Roles = tuple[Grant, ...]


async def people_reached(store: Store, actor: Principal, permission: Permission) -> list[tuple[Person, Roles]]:
    """People of the actor's organisation whom this permission reaches, with their grants there, sorted by id.

    Who has it over a part of the organisation sees who was granted something in that part, and those grants alone.
    """
    home = Target(actor.organisation_id)
    everything = actor.may(permission, home)
    held: dict[str, list[Grant]] = {}
    for one in await store.people(Realm.CUSTOMER).grants(organisation_id=actor.organisation_id):
        if everything or actor.may(permission, one.target):
            held.setdefault(one.user_id, []).append(one)
    people = await list_people(store, Realm.CUSTOMER, actor.organisation_id)
    return [(p, tuple(held.get(p.user_id, ()))) for p in people if everything or p.user_id in held]


async def members(store: Store, target: Target) -> list[tuple[Person, Roles]]:
    """Who was granted something over exactly this place, sorted by id."""
    held: dict[str, list[Grant]] = {}
    for one in await store.people(Realm.CUSTOMER).grants(organisation_id=target.organisation_id):
        if one.target == target:
            held.setdefault(one.user_id, []).append(one)
    people = await list_people(store, Realm.CUSTOMER, target.organisation_id)
    return [(person, tuple(held[person.user_id])) for person in people if person.user_id in held]


async def member(store: Store, target: Target, user_id: str) -> tuple[Person, Roles]:
    """One of `members`. Raises NotFound."""
    for person, held in await members(store, target):
        if person.user_id == user_id:
            return person, held
    raise NotFound(f"There is no user '{user_id[:100]}' here.", param="user_id")


async def become(store: Store, mint: Mint, actor: Principal, user_id: str, role: Role, target: Target) -> None:
    """From now on this role, and no other, over exactly this place. What is over other places stays.

    Other roles go first, so that for a moment there is less and never more. Raises what `grant` and `withdraw` of
    `parvis.flows.grants` raise, and then nothing has changed, unless somebody else changed it at the same moment.
    """
    person = await person_named(store, Realm.CUSTOMER, user_id)
    held = await store.people(Realm.CUSTOMER).grants(user_id)
    going = [one for one in held if one.target == target and one.role is not role]
    await check_roles(store, actor, Realm.CUSTOMER, person.organisation_id, [(role, target)])
    for one in going:
        check_reach(actor, one.role, one.target)
    if other := clash(role, target, [one for one in held if one not in going]):
        raise Conflict(f"'{role}' does not go together with '{other.role}', which they have elsewhere.", param="role")
    await _leave(store, actor, going)
    if not any(one.target == target and one.role is role for one in held):
        await grant(store, mint, actor, user_id, role, target)


async def leave(store: Store, actor: Principal, user_id: str, target: Target) -> None:
    """No role any more over exactly this place. Raises NotFound without any, and what `withdraw` raises."""
    _, held = await member(store, target, user_id)
    for one in held:
        check_reach(actor, one.role, one.target)
    await _leave(store, actor, held)


def touches_ownership(roles: Iterable[Role]) -> bool:
    """Whether an owner is made or unmade by giving or taking these."""
    return any(role in OWNERS for role in roles)


async def _leave(store: Store, actor: Principal, going: Iterable[Grant]) -> None:
    """Owners' roles first: of these the last may be refused, when nothing has changed yet."""
    for one in sorted(going, key=lambda one: one.role not in OWNERS):
        await withdraw(store, actor, one.grant_id)
