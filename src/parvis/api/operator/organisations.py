"""Customers: `/v1/organisations`, `/v1/tenants`, `/v1/projects`."""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from parvis.api.operator.answers import Organisation as OrganisationShown
from parvis.api.operator.answers import Project as ProjectShown
from parvis.api.operator.desk import TheDesk
from parvis.api.web.answers import Listed, Tenant
from parvis.api.web.instants import write_instant
from parvis.api.web.queries import PageQuery
from parvis.api.web.routes import TheActor
from parvis.api.web.shapes import Json, listing, tenant_shape
from parvis.domain.identity.organisation import Organisation, Project
from parvis.flows import organisations
from parvis.flows.organisations import TenantChange

Text = Annotated[str, Field(max_length=300)]
Texts = Annotated[list[Text], Field(max_length=1000)]


class OrganisationForm(BaseModel):
    """A customer that somebody wants. Without an id one is made up."""

    model_config = ConfigDict(extra="forbid")
    name: Text
    organisation_id: Text | None = None


class OrganisationChange(BaseModel):
    """What is to be different. What is not said stays as it is."""

    model_config = ConfigDict(extra="forbid")
    name: Text | None = None
    second_factor: bool | None = None


class TenantForm(BaseModel):
    """A tenant that somebody wants. Without `credit_unlimited` it spends what it is given."""

    model_config = ConfigDict(extra="forbid")
    name: Text
    tenant_id: Text | None = None
    credit_unlimited: bool = False


class TenantRules(BaseModel):
    """What is to be different. Patterns have `*`; addresses are networks, and none means from anywhere."""

    model_config = ConfigDict(extra="forbid")
    name: Text | None = None
    models_allowed: Texts | None = None
    models_denied: Texts | None = None
    addresses: Texts | None = None
    credit_unlimited: bool | None = None

    def change(self) -> TenantChange:
        return TenantChange(
            self.name,
            _tuple(self.models_allowed),
            _tuple(self.models_denied),
            _tuple(self.addresses),
            self.credit_unlimited,
        )


class ProjectForm(BaseModel):
    """A project that somebody wants."""

    model_config = ConfigDict(extra="forbid")
    name: Text
    project_id: Text | None = None


class ProjectChange(BaseModel):
    """What is to be different."""

    model_config = ConfigDict(extra="forbid")
    name: Text | None = None
    archived: bool | None = None


class TenantsQuery(PageQuery):
    """Which tenants: of one organisation or of all."""

    organisation: Text | None = None


class ProjectsQuery(PageQuery):
    """Which projects: of one tenant or of all."""

    tenant: Text | None = None


# Organisations


async def all_organisations(
    desk: TheDesk, actor: TheActor, query: Annotated[PageQuery, Query()]
) -> Annotated[Json, Listed[OrganisationShown]]:
    """Every customer, removed ones included, sorted by id."""
    found, following = await organisations.organisation_page(desk.store, actor, query.after, query.limit)
    return listing([organisation_shape(one) for one in found], following)


async def create_organisation(
    desk: TheDesk, actor: TheActor, form: OrganisationForm
) -> Annotated[Json, OrganisationShown]:
    """A new customer, without tenants and people."""
    made = await organisations.create_organisation(desk.office, actor, form.name, form.organisation_id)
    return organisation_shape(made)


async def one_organisation(desk: TheDesk, organisation_id: str) -> Annotated[Json, OrganisationShown]:
    """One customer."""
    return organisation_shape(await organisations.organisation_of(desk.store, organisation_id))


async def change_organisation(
    desk: TheDesk, organisation_id: str, form: OrganisationChange
) -> Annotated[Json, OrganisationShown]:
    """Another name, or another rule for second factors."""
    changed = await organisations.change_organisation(
        desk.office, organisation_id, name=form.name, second_factor=form.second_factor
    )
    return organisation_shape(changed)


async def suspend_organisation(
    desk: TheDesk, actor: TheActor, organisation_id: str
) -> Annotated[Json, OrganisationShown]:
    """Serve it no more, within a second and until it is resumed: neither its keys nor its people."""
    changed = await organisations.suspend_organisation(desk.office, actor, organisation_id)
    await desk.announce()
    return organisation_shape(changed)


async def resume_organisation(
    desk: TheDesk, actor: TheActor, organisation_id: str
) -> Annotated[Json, OrganisationShown]:
    """Serve it again."""
    changed = await organisations.resume_organisation(desk.office, actor, organisation_id)
    await desk.announce()
    return organisation_shape(changed)


async def remove_organisation(
    desk: TheDesk, actor: TheActor, organisation_id: str
) -> Annotated[Json, OrganisationShown]:
    """For good, with all its keys, once it is suspended. What it used stays in the books."""
    changed = await organisations.remove_organisation(desk.office, actor, organisation_id)
    await desk.announce()
    return organisation_shape(changed)


# Tenants


async def all_tenants(
    desk: TheDesk, actor: TheActor, query: Annotated[TenantsQuery, Query()]
) -> Annotated[Json, Listed[Tenant]]:
    """Tenants of one organisation or of all, removed ones included, sorted by id."""
    found, following = await organisations.tenant_page(desk.store, actor, query.organisation, query.after, query.limit)
    return listing([tenant_shape(one) for one in found], following)


async def create_tenant(
    desk: TheDesk, actor: TheActor, organisation_id: str, form: TenantForm
) -> Annotated[Json, Tenant]:
    """A new tenant with its default project."""
    made = await organisations.create_tenant(
        desk.office, actor, organisation_id, form.name, form.tenant_id, credit_unlimited=form.credit_unlimited
    )
    await desk.announce()
    return tenant_shape(made)


async def one_tenant(desk: TheDesk, tenant_id: str) -> Annotated[Json, Tenant]:
    """One tenant."""
    return tenant_shape(await organisations.tenant_of(desk.store, tenant_id))


async def change_tenant(desk: TheDesk, actor: TheActor, tenant_id: str, form: TenantRules) -> Annotated[Json, Tenant]:
    """Another name, other rules. They hold at every gateway within a second."""
    changed = await organisations.change_tenant(desk.office, actor, tenant_id, form.change())
    await desk.announce()
    return tenant_shape(changed)


async def suspend_tenant(desk: TheDesk, actor: TheActor, tenant_id: str) -> Annotated[Json, Tenant]:
    """Serve it no more, within a second and until it is resumed."""
    changed = await organisations.suspend_tenant(desk.office, actor, tenant_id)
    await desk.announce()
    return tenant_shape(changed)


async def resume_tenant(desk: TheDesk, actor: TheActor, tenant_id: str) -> Annotated[Json, Tenant]:
    """Serve it again, if its organisation is served."""
    changed = await organisations.resume_tenant(desk.office, actor, tenant_id)
    await desk.announce()
    return tenant_shape(changed)


async def remove_tenant(desk: TheDesk, actor: TheActor, tenant_id: str) -> Annotated[Json, Tenant]:
    """For good, with all its keys, once it is suspended. What it used stays in the books."""
    changed = await organisations.remove_tenant(desk.office, actor, tenant_id)
    await desk.announce()
    return tenant_shape(changed)


# Projects


async def all_projects(
    desk: TheDesk, actor: TheActor, query: Annotated[ProjectsQuery, Query()]
) -> Annotated[Json, Listed[ProjectShown]]:
    """Projects of one tenant or of all, archived ones included, sorted by id."""
    found, following = await organisations.project_page(desk.store, actor, query.tenant, query.after, query.limit)
    return listing([project_shape(one) for one in found], following)


async def create_project(desk: TheDesk, tenant_id: str, form: ProjectForm) -> Annotated[Json, ProjectShown]:
    """A new group of keys."""
    return project_shape(await organisations.create_project(desk.office, tenant_id, form.name, form.project_id))


async def one_project(desk: TheDesk, project_id: str) -> Annotated[Json, ProjectShown]:
    """One project."""
    return project_shape(await organisations.project_of(desk.store, project_id))


async def change_project(desk: TheDesk, project_id: str, form: ProjectChange) -> Annotated[Json, ProjectShown]:
    """Another name; archived, or taken up again."""
    changed = await organisations.change_project(desk.office, project_id, name=form.name, archived=form.archived)
    return project_shape(changed)


# Shapes


def organisation_shape(one: Organisation) -> Json:
    """A customer."""
    return {
        "object": "organisation",
        "id": one.organisation_id,
        "name": one.name,
        "standing": one.standing,
        "second_factor": one.second_factor,
        "created_at": write_instant(one.created_unix_ms),
    }


def project_shape(one: Project) -> Json:
    """A group of keys."""
    return {
        "object": "project",
        "id": one.project_id,
        "organisation_id": one.organisation_id,
        "tenant_id": one.tenant_id,
        "name": one.name,
        "archived": one.archived,
        "created_at": write_instant(one.created_unix_ms),
    }


def _tuple(texts: list[str] | None) -> tuple[str, ...] | None:
    return None if texts is None else tuple(texts)
