"""Which tenants somebody's right reaches: what a list without a place in its path may show."""

from collections.abc import Sequence

from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.organisation import Project, Tenant
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import Principal
from parvis.flows.store import IdentityStore


def place_of(thing: Tenant | Project | ApiKey) -> Target:
    """The tenant that this is, or is of."""
    return Target(thing.organisation_id, thing.tenant_id)


async def tenants_reached(store: IdentityStore, principal: Principal, permission: Permission) -> list[Tenant]:
    """Those over which a principal has this permission, sorted by id; removed ones too."""
    return [tenant for tenant in await store.tenants() if principal.may(permission, place_of(tenant))]


def shared_place(organisation_id: str, targets: Sequence[Target]) -> Target:
    """The one place in which all of these are; the whole organisation when they are several or none."""
    places = set(targets)
    return places.pop() if len(places) == 1 else Target(organisation_id)


def only_tenants(actor: Principal, permission: Permission, organisation_id: str) -> tuple[str, ...] | None:
    """The tenants of an organisation that somebody's right ends at; None when it reaches all of it."""
    places = actor.places(permission)
    if any(place.covers(Target(organisation_id)) for place in places):
        return None
    return tuple(place.tenant_id for place in places if place.organisation_id == organisation_id)
