"""`/v1/organization/projects/{project_id}/users`: who was granted something over the tenant of a project.

All projects of a tenant have the same users, because roles are over tenants.
"""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from parvis.api.console.desk import ConsoleDesk, TheDesk
from parvis.api.console.organization.answers import Deleted, IdList, ProjectUser
from parvis.api.console.organization.asking import TheProject
from parvis.api.console.organization.lists import ListQuery, id_list, id_page, unix_s
from parvis.api.console.organization.roles import project_role, project_role_name, role_shapes
from parvis.api.web.admission import check_proof
from parvis.api.web.routes import TheActor
from parvis.api.web.shapes import Json
from parvis.core.errors import BadRequest, NotFound
from parvis.domain.identity.organisation import Project
from parvis.domain.identity.person import Person, Realm
from parvis.domain.identity.principal import Principal
from parvis.domain.identity.role import Role
from parvis.flows.grants import grant
from parvis.flows.membership import Roles, become, leave, member, members, touches_ownership
from parvis.flows.reach import place_of


class ProjectUserForm(BaseModel):
    """Somebody of the organisation, by id or by e-mail, and what they become."""

    model_config = ConfigDict(extra="forbid")
    user_id: str | None = Field(default=None, max_length=100)
    email: str | None = Field(default=None, max_length=300)
    role: str = Field(max_length=100)


class ProjectUserChange(BaseModel):
    """Another role: this one and no other."""

    model_config = ConfigDict(extra="forbid")
    role: str | None = Field(default=None, max_length=100)


async def all_users(
    desk: TheDesk, project: TheProject, query: Annotated[ListQuery, Query()]
) -> Annotated[Json, IdList[ProjectUser]]:
    """The users of a project, sorted by id."""
    page = id_page(await members(desk.store, place_of(project)), lambda one: one[0].user_id, query)
    return id_list([project_user_shape(*one) for one in page], query.limit)


async def add(
    desk: TheDesk, actor: TheActor, project: TheProject, form: ProjectUserForm
) -> Annotated[Json, ProjectUser]:
    """Give somebody of the organisation a role. Making an owner needs a fresh proof."""
    role, user_id = project_role(form.role), await _user_id(desk, project, form)
    _check_proof(desk, actor, role)
    await grant(desk.store, desk.mint, actor, user_id, role, place_of(project))
    return await _shown(desk, project, user_id)


async def one(desk: TheDesk, project: TheProject, user_id: str) -> Annotated[Json, ProjectUser]:
    """One user of a project."""
    return await _shown(desk, project, user_id)


async def change(
    desk: TheDesk, actor: TheActor, project: TheProject, user_id: str, form: ProjectUserChange
) -> Annotated[Json, ProjectUser]:
    """Set the role of a user. Making or unmaking an owner needs a fresh proof."""
    _, held = await member(desk.store, place_of(project), user_id)
    if form.role is not None:
        role = project_role(form.role)
        _check_proof(desk, actor, role, *(one.role for one in held))
        await become(desk.store, desk.mint, actor, user_id, role, place_of(project))
    return await _shown(desk, project, user_id)


async def remove(desk: TheDesk, actor: TheActor, project: TheProject, user_id: str) -> Annotated[Json, Deleted]:
    """Take all roles over the project's tenant away. What is over the organisation stays."""
    _, held = await member(desk.store, place_of(project), user_id)
    _check_proof(desk, actor, *(one.role for one in held))
    await leave(desk.store, actor, user_id, place_of(project))
    return {"id": user_id, "object": "organization.project.user.deleted", "deleted": True}


def project_user_shape(person: Person, held: Roles) -> Json:
    """A person in a project."""
    return {
        "id": person.user_id,
        "object": "organization.project.user",
        "name": person.name,
        "email": person.email,
        "role": project_role_name({one.role for one in held}),
        "added_at": unix_s(min(one.granted_unix_ms for one in held)),
        "parvis_roles": role_shapes(held),
    }


async def _shown(desk: ConsoleDesk, project: Project, user_id: str) -> Json:
    return project_user_shape(*await member(desk.store, place_of(project), user_id))


def _check_proof(desk: ConsoleDesk, actor: Principal, *roles: Role) -> None:
    if touches_ownership(roles):
        check_proof(actor, desk.clock.unix_ms())


async def _user_id(desk: ConsoleDesk, project: Project, form: ProjectUserForm) -> str:
    """Who is meant. Raises BadRequest unless exactly one way says so, NotFound for nobody of the organisation."""
    if (form.user_id is None) == (form.email is None):
        raise BadRequest("Say who: either 'user_id' or 'email'.", param="user_id")
    if form.user_id is not None:
        return form.user_id
    found = await desk.store.people(Realm.CUSTOMER).person_by_email(form.email or "")
    if found is None or found.organisation_id != project.organisation_id:
        raise NotFound("Nobody of the organisation has this e-mail. Invite them.", param="email")
    return found.user_id
