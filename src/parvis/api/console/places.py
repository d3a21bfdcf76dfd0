"""Whose thing a path names, beside `parvis.api.web.places`: people, and what there is about them."""

from starlette.requests import Request

from parvis.api.console.desk import desk_of
from parvis.api.web.routes import actor_of
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.person import Person, Realm
from parvis.domain.identity.place import Target
from parvis.domain.identity.role import Grant
from parvis.flows.reach import shared_place


async def grant_place(request: Request) -> Target | None:
    """Of `{grant_id}`: what it is over."""
    grant = await desk_of(request).store.people(Realm.CUSTOMER).grant(request.path_params["grant_id"])
    return None if grant is None else grant.target


async def invitation_place(request: Request) -> Target | None:
    """Of `{invitation_id}`: the tenant to which alone it leads, else its organisation."""
    found = await desk_of(request).store.people(Realm.CUSTOMER).invitation(request.path_params["invitation_id"])
    return None if found is None else shared_place(found[0].organisation_id, [target for _, target in found[0].roles])


async def review_place(request: Request) -> Target | None:
    """Of `{review_id}`: what is reviewed."""
    campaign = await desk_of(request).store.campaign(request.path_params["review_id"])
    return None if campaign is None else campaign.target


async def person_place(request: Request) -> Target | None:
    """Of `{user_id}`: their organisation, or for who sees less of it a tenant in which both are."""
    found = await _person(request)
    if found is None:
        return None
    person, grants = found
    actor, home = actor_of(request), Target(person.organisation_id)
    places = [home, *(grant.target for grant in grants)]
    return next((place for place in places if actor.may(Permission.USERS_READ, place)), None)


async def person_home(request: Request) -> Target | None:
    """Of `{user_id}`: their organisation, which is what a change of a person touches; None for who cannot see them."""
    found = await _person(request)
    return None if found is None or await person_place(request) is None else Target(found[0].organisation_id)


async def _person(request: Request) -> tuple[Person, list[Grant]] | None:
    people = desk_of(request).store.people(Realm.CUSTOMER)
    person = await people.person(request.path_params["user_id"])
    return None if person is None else (person, await people.grants(person.user_id))
