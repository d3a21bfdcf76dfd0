"""`/v1/organization/projects`: groups of keys. Each is of one tenant, which an answer names as `tenant_id`."""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from parvis.api.console.desk import ConsoleDesk, TheDesk
from parvis.api.console.organization.answers import IdList, OrganizationProject
from parvis.api.console.organization.lists import ListQuery, id_list, id_page, unix_s
from parvis.api.web.admission import checked_place
from parvis.api.web.routes import TheActor, lies_in
from parvis.api.web.shapes import Json
from parvis.core.errors import BadRequest
from parvis.domain.identity.organisation import Project
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import Principal
from parvis.flows.organisations import change_project, create_project, project_of
from parvis.flows.reach import place_of, tenants_reached


class ProjectsQuery(ListQuery):
    """Which projects."""

    include_archived: bool = False


class ProjectForm(BaseModel):
    """A project that somebody wants. Without a tenant it becomes one of the only tenant that the caller may change."""

    model_config = ConfigDict(extra="forbid")
    name: str
    tenant_id: str | None = Field(default=None, max_length=100)


class ProjectChange(BaseModel):
    """Another name."""

    model_config = ConfigDict(extra="forbid")
    name: str | None = None


async def all_projects(
    desk: TheDesk, actor: TheActor, query: Annotated[ProjectsQuery, Query()]
) -> Annotated[Json, IdList[OrganizationProject]]:
    """Projects of all tenants that the caller may read, sorted by id."""
    seen = [
        project
        for project in await desk.store.projects()
        if actor.may(Permission.PROJECTS_READ, place_of(project)) and (query.include_archived or not project.archived)
    ]
    page = id_page(seen, lambda project: project.project_id, query)
    return id_list([project_shape(project) for project in page], query.limit)


async def create(
    request: Request, desk: TheDesk, actor: TheActor, form: ProjectForm
) -> Annotated[Json, OrganizationProject]:
    """A new project."""
    place = await _place(desk, actor, form.tenant_id)
    lies_in(request, place)
    return project_shape(await create_project(desk.office, place.tenant_id, form.name))


async def one(desk: TheDesk, project_id: str) -> Annotated[Json, OrganizationProject]:
    """One project."""
    return project_shape(await project_of(desk.store, project_id))


async def change(desk: TheDesk, project_id: str, form: ProjectChange) -> Annotated[Json, OrganizationProject]:
    """Another name."""
    return project_shape(await change_project(desk.office, project_id, name=form.name))


async def archive(desk: TheDesk, project_id: str) -> Annotated[Json, OrganizationProject]:
    """Put it away. Its keys go on working; lists do not show it any more."""
    return project_shape(await change_project(desk.office, project_id, archived=True))


def project_shape(project: Project) -> Json:
    """`archived_at` is null of an archived project too: only that it is archived is kept."""
    return {
        "id": project.project_id,
        "object": "organization.project",
        "name": project.name,
        "created_at": unix_s(project.created_unix_ms),
        "archived_at": None,
        "status": "archived" if project.archived else "active",
        "tenant_id": project.tenant_id,
    }


async def _place(desk: ConsoleDesk, actor: Principal, tenant_id: str | None) -> Target:
    """Where a new project goes. Raises NotFound, NotPermitted, BadRequest when it must be said."""
    if tenant_id is not None:
        tenant = await desk.store.tenant(tenant_id)
        return checked_place(actor, Permission.PROJECTS_WRITE, None if tenant is None else place_of(tenant))
    reached = await tenants_reached(desk.store, actor, Permission.PROJECTS_WRITE)
    if len(reached) != 1:
        names = ", ".join(tenant.tenant_id for tenant in reached[:5])
        raise BadRequest(f"Say of which tenant the project is: you have {len(reached)} ({names}).", param="tenant_id")
    return place_of(reached[0])
