"""`/v1/organization/users`: the people of the caller's organisation."""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from parvis.api.console.desk import ConsoleDesk, TheDesk
from parvis.api.console.organization.answers import Deleted, IdList, OrganizationUser
from parvis.api.console.organization.lists import ListQuery, id_list, id_page, unix_s
from parvis.api.console.organization.roles import organisation_role, organisation_role_name, role_shapes
from parvis.api.web.admission import check_proof
from parvis.api.web.routes import TheActor
from parvis.api.web.shapes import Json
from parvis.core.errors import NotFound
from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.person import Person, Realm, same_email
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import Principal
from parvis.flows import people
from parvis.flows.membership import Roles, become, people_reached, touches_ownership


class UsersQuery(ListQuery):
    """Which people."""

    emails: list[str] | None = Field(default=None, alias="emails[]", max_length=100)


class UserChange(BaseModel):
    """Another role over the organisation: this one and no other. Roles over its tenants stay."""

    model_config = ConfigDict(extra="forbid")
    role: str | None = Field(default=None, max_length=100)


async def all_users(
    desk: TheDesk, actor: TheActor, query: Annotated[UsersQuery, Query()]
) -> Annotated[Json, IdList[OrganizationUser]]:
    """People whom the caller may see, sorted by id."""
    wanted = None if query.emails is None else {same_email(email) for email in query.emails}
    seen = [
        (person, held)
        for person, held in await people_reached(desk.store, actor, Permission.USERS_READ)
        if wanted is None or same_email(person.email) in wanted
    ]
    page = id_page(seen, lambda one: one[0].user_id, query)
    return id_list([user_shape(person, held) for person, held in page], query.limit)


async def one(desk: TheDesk, actor: TheActor, user_id: str) -> Annotated[Json, OrganizationUser]:
    """One person."""
    return await _shown(desk, actor, user_id)


async def change(desk: TheDesk, actor: TheActor, user_id: str, form: UserChange) -> Annotated[Json, OrganizationUser]:
    """Set the role over the organisation. Making or unmaking an owner needs a fresh proof."""
    if form.role is not None:
        role, target = organisation_role(form.role), Target(actor.organisation_id)
        held = await desk.store.people(Realm.CUSTOMER).grants(user_id)
        if touches_ownership([role, *(one.role for one in held if one.target == target)]):
            check_proof(actor, desk.clock.unix_ms())
        await become(desk.store, desk.mint, actor, user_id, role, target)
    return await _shown(desk, actor, user_id)


async def delete(desk: TheDesk, user_id: str) -> Annotated[Json, Deleted]:
    """Remove somebody for good, with every access that they had: sessions, tokens, roles and their own keys."""
    await people.remove(desk.store, Realm.CUSTOMER, user_id)
    await desk.announce()
    return {"id": user_id, "object": "organization.user.deleted", "deleted": True}


def user_shape(person: Person, held: Roles) -> Json:
    """A person, with the grants that the caller may see."""
    created, active = unix_s(person.created_unix_ms), person.standing is Standing.ACTIVE
    inner = {"id": person.user_id, "email": person.email, "name": person.name, "enabled": active, "banned": not active}
    return {
        "id": person.user_id,
        "object": "organization.user",
        "name": person.name,
        "email": person.email,
        "role": organisation_role_name({grant.role for grant in held}),
        "added_at": created,
        "created": created,
        "is_service_account": False,
        "user": {"object": "user", **inner},
        "standing": person.standing,
        "parvis_roles": role_shapes(held),
    }


async def _shown(desk: ConsoleDesk, actor: Principal, user_id: str) -> Json:
    for person, held in await people_reached(desk.store, actor, Permission.USERS_READ):
        if person.user_id == user_id:
            return user_shape(person, held)
    raise NotFound(f"There is no user '{user_id[:100]}'.", param="user_id")
