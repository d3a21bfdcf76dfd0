"""What limits are set on, found in the store by its name."""

from dataclasses import dataclass
from typing import Protocol

from parvis.core.errors import NotFound
from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.person import Realm
from parvis.domain.identity.place import Target
from parvis.domain.quota.limit import Level, read_subject
from parvis.flows.ledger_store import LedgerStore
from parvis.flows.limit_store import LimitStore
from parvis.flows.people_store import Realms
from parvis.flows.reach import place_of, shared_place
from parvis.flows.store import IdentityStore, UsageStore


class LimitedStore(IdentityStore, LimitStore, LedgerStore, UsageStore, Realms, Protocol):
    """The ports that these stories need, of one store."""


@dataclass(frozen=True, slots=True)
class Limited:
    """Something on which limits can be set, found in the store."""

    subject: str
    level: Level
    object_id: str
    name: str
    place: Target
    """Of a user, who may have keys in several tenants, the organisation."""


async def limited(store: LimitedStore, named: str) -> Limited:
    """The subject of this name. Raises NotFound."""
    found = await find_limited(store, named)
    if found is None:
        raise NotFound(f"There is nothing called '{named[:100]}' that could have limits.", param="subject")
    return found


async def find_limited(store: LimitedStore, named: str) -> Limited | None:
    """The subject of this name; None when there is no such thing."""
    try:
        level, one_id = read_subject(named)
    except ValueError:
        return None
    found = await _name_and_place(store, level, one_id)
    return None if found is None else Limited(named, level, one_id, *found)


async def place_to_limit(store: LimitedStore, found: Limited) -> Target:
    """Over which somebody must have the right to limit it: of a user, all of the places in which they have keys."""
    if found.level is not Level.USER:
        return found.place
    grants = await store.people(Realm.CUSTOMER).grants(found.object_id)
    keys = await store.keys_owned(found.object_id)
    places = {*(grant.target for grant in grants), *(place_of(key) for key in keys if key.active)}
    return shared_place(found.place.organisation_id, sorted(places))


async def _name_and_place(store: LimitedStore, level: Level, one_id: str) -> tuple[str, Target] | None:
    match level:
        case Level.CONTRACT | Level.TENANT:
            tenant = await store.tenant(one_id)
            return None if tenant is None else (tenant.name, place_of(tenant))
        case Level.ORGANISATION:
            known = {one.organisation_id: one.name for one in await store.organisations()}
            return (known[one_id], Target(one_id)) if one_id in known else None
        case Level.PROJECT:
            projects = {one.project_id: one for one in await store.projects()}
            return (projects[one_id].name, place_of(projects[one_id])) if one_id in projects else None
        case Level.USER:
            person = await store.people(Realm.CUSTOMER).person(one_id)
            gone = person is None or person.standing is Standing.REMOVED
            return None if person is None or gone else (person.name, Target(person.organisation_id))
        case Level.KEY:
            key = await store.key(one_id)
            return None if key is None else (key.name, place_of(key))
