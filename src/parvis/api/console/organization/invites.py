"""`/v1/organization/invites`: people who are asked in."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from parvis.api.console.desk import ConsoleDesk, TheDesk
from parvis.api.console.organization.answers import Deleted, IdList, Invite, NewInvite
from parvis.api.console.organization.lists import ListQuery, id_list, id_page, unix_s
from parvis.api.console.organization.roles import (
    organisation_role,
    organisation_role_name,
    place_shape,
    project_role,
    project_role_name,
)
from parvis.api.web.admission import check_proof, checked_place
from parvis.api.web.routes import TheActor, lies_in
from parvis.api.web.shapes import Json
from parvis.core.errors import NotFound
from parvis.domain.identity.invitation import Invitation, InvitationState
from parvis.domain.identity.organisation import Project
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import Principal
from parvis.domain.identity.role import Role
from parvis.flows.invitation_letter import post_link
from parvis.flows.invitations import invitation_named, invite, list_invitations, withdraw
from parvis.flows.membership import touches_ownership
from parvis.flows.reach import shared_place

PROJECTS_MAX = 100


class ProjectRole(BaseModel):
    """A role over the tenant of a project."""

    model_config = ConfigDict(extra="forbid")
    id: str = Field(max_length=100)
    role: str = Field(max_length=100)


class InviteForm(BaseModel):
    """Somebody who is asked in. With projects, `reader` gives nothing beside the roles over their tenants."""

    model_config = ConfigDict(extra="forbid")
    email: str = Field(max_length=300)
    role: str = Field(max_length=100)
    projects: list[ProjectRole] = Field(default=[], max_length=PROJECTS_MAX)


async def all_invites(
    desk: TheDesk, actor: TheActor, query: Annotated[ListQuery, Query()]
) -> Annotated[Json, IdList[Invite]]:
    """Invitations that the caller may see, sorted by id; withdrawn ones are not shown."""
    found = await list_invitations(desk.store, actor.organisation_id)
    seen = [i for i in found if i.state is not InvitationState.WITHDRAWN and _seen(actor, i)]
    page = id_page(seen, lambda invitation: invitation.invitation_id, query)
    return id_list(await _shapes(desk, page), query.limit)


async def create(request: Request, desk: TheDesk, actor: TheActor, form: InviteForm) -> Annotated[Json, NewInvite]:
    """Ask somebody in. `link` is its token: this answer is the only place where it ever stands."""
    roles = await _roles(desk, actor, form)
    targets = [checked_place(actor, Permission.USERS_WRITE, target) for _, target in roles]
    lies_in(request, shared_place(actor.organisation_id, targets))
    if touches_ownership(role for role, _ in roles):
        check_proof(actor, desk.clock.unix_ms())
    made = await invite(desk.store, desk.mint, actor, actor.organisation_id, form.email, roles)
    await post_link(desk.post_office, made, desk.site.public_url)
    [shape] = await _shapes(desk, [made.invitation])
    return {**shape, "link": made.link.reveal()}


async def one(desk: TheDesk, actor: TheActor, invitation_id: str) -> Annotated[Json, Invite]:
    """One invitation."""
    found = await invitation_named(desk.store, actor.organisation_id, invitation_id)
    if found.state is InvitationState.WITHDRAWN:
        raise NotFound(f"There is no invitation '{invitation_id[:100]}'.", param="invitation_id")
    return (await _shapes(desk, [found]))[0]


async def delete(desk: TheDesk, actor: TheActor, invitation_id: str) -> Annotated[Json, Deleted]:
    """Withdraw it: its link opens nothing any more."""
    await withdraw(desk.store, actor.organisation_id, invitation_id)
    return {"id": invitation_id, "object": "organization.invite.deleted", "deleted": True}


def _seen(actor: Principal, invitation: Invitation) -> bool:
    targets = [target for _, target in invitation.roles]
    return actor.may(Permission.USERS_READ, shared_place(invitation.organisation_id, targets))


async def _roles(desk: ConsoleDesk, actor: Principal, form: InviteForm) -> list[tuple[Role, Target]]:
    """What is asked for. Raises BadRequest for a role that is none, NotFound for a project of elsewhere."""
    roles: list[tuple[Role, Target]] = []
    if form.role != "reader" or not form.projects:
        roles.append((organisation_role(form.role), Target(actor.organisation_id)))
    places = {p.project_id: Target(p.organisation_id, p.tenant_id) for p in await desk.store.projects()}
    for project in form.projects:
        place = checked_place(actor, Permission.USERS_WRITE, places.get(project.id))
        roles.append((project_role(project.role, "projects"), place))
    return list(dict.fromkeys(roles))


async def _shapes(desk: ConsoleDesk, invitations: Sequence[Invitation]) -> list[Json]:
    projects, now = await desk.store.projects(), desk.clock.unix_ms()
    return [_shape(invitation, projects, now) for invitation in invitations]


def _shape(invitation: Invitation, projects: Sequence[Project], now_unix_ms: int) -> Json:
    """Roles over a tenant are shown as roles in all of its projects, which they are."""
    pending = invitation.state is InvitationState.PENDING
    return {
        "id": invitation.invitation_id,
        "object": "organization.invite",
        "email": invitation.email,
        "role": organisation_role_name({role for role, _ in invitation.roles}),
        "status": "expired" if pending and not invitation.open(now_unix_ms) else invitation.state,
        "created_at": unix_s(invitation.created_unix_ms),
        "expires_at": unix_s(invitation.ends_unix_ms),
        "accepted_at": None,
        "projects": [
            {"id": project.project_id, "role": project_role_name({role})}
            for role, target in invitation.roles
            for project in projects
            if target.tenant_id == project.tenant_id and not project.archived
        ],
        "parvis_roles": [place_shape(*role) for role in invitation.roles],
    }
