"""Whose thing a path names, where only the operator's routes ask. None is said of what is not there."""

from starlette.requests import Request

from parvis.api.operator.desk import desk_of
from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.person import Realm
from parvis.domain.identity.place import INSTALLATION, Target


async def user_place(request: Request) -> Target | None:
    """Of `{user_id}`: the organisation of a customer's user."""
    found = await desk_of(request).store.people(Realm.CUSTOMER).person(request.path_params["user_id"])
    return None if found is None or found.standing is Standing.REMOVED else Target(found.organisation_id)


async def operator_place(request: Request) -> Target | None:
    """Of `{operator_id}`: the installation, if there is such a one."""
    found = await desk_of(request).store.people(Realm.OPERATOR).person(request.path_params["operator_id"])
    return None if found is None or found.standing is Standing.REMOVED else INSTALLATION


async def grant_place(request: Request) -> Target | None:
    """Of `{grant_id}`: what a customer's user was granted a role over."""
    found = await desk_of(request).store.people(Realm.CUSTOMER).grant(request.path_params["grant_id"])
    return None if found is None else found.target


async def operator_grant_place(request: Request) -> Target | None:
    """Of `{grant_id}`: the installation, if one of the operator's people has it."""
    found = await desk_of(request).store.people(Realm.OPERATOR).grant(request.path_params["grant_id"])
    return None if found is None else found.target


async def review_place(request: Request) -> Target | None:
    """Of `{review_id}`: what is reviewed."""
    found = await desk_of(request).store.campaign(request.path_params["review_id"])
    return None if found is None else found.target
