"""The tenants that a caller may see, and the rules that their owners may narrow: `/v1/tenants`."""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from parvis.api.console.desk import TheDesk
from parvis.api.web.answers import Listed, Tenant
from parvis.api.web.queries import PageQuery
from parvis.api.web.routes import TheActor
from parvis.api.web.shapes import Json, listing, tenant_shape
from parvis.flows.organisations import TenantChange, change_tenant, tenant_of, tenant_page

Name = Annotated[str, Field(max_length=300)]
Names = Annotated[list[Name] | None, Field(max_length=1000)]


class TenantForm(BaseModel):
    """What is to be different. What is not said stays as it is."""

    model_config = ConfigDict(extra="forbid")
    name: Name | None = None
    models_allowed: Names = None
    models_denied: Names = None
    addresses: Names = None

    def change(self) -> TenantChange:
        return TenantChange(self.name, _tuple(self.models_allowed), _tuple(self.models_denied), _tuple(self.addresses))


async def all_tenants(
    desk: TheDesk, actor: TheActor, query: Annotated[PageQuery, Query()]
) -> Annotated[Json, Listed[Tenant]]:
    """Tenants of the caller's organisation that they may read, sorted by id."""
    found, following = await tenant_page(desk.store, actor, actor.organisation_id, query.after, query.limit)
    return listing([tenant_shape(tenant) for tenant in found], following)


async def one(desk: TheDesk, tenant_id: str) -> Annotated[Json, Tenant]:
    """One tenant."""
    return tenant_shape(await tenant_of(desk.store, tenant_id))


async def change(desk: TheDesk, actor: TheActor, tenant_id: str, form: TenantForm) -> Annotated[Json, Tenant]:
    """Another name, narrower rules. They hold at every gateway within a second; wider ones are the operator's."""
    changed = await change_tenant(desk.office, actor, tenant_id, form.change())
    await desk.announce()
    return tenant_shape(changed)


def _tuple(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)
