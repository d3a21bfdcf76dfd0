"""Who was granted what, where, since when and by whom: `/v1/grants`."""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from parvis.api.console.desk import TheDesk
from parvis.api.web.admission import check_proof, checked_place
from parvis.api.web.answers import Listed
from parvis.api.web.answers_people import Grant, GrantWithdrawn
from parvis.api.web.people_shapes import grant_shape
from parvis.api.web.queries import PageQuery
from parvis.api.web.routes import TheActor, lies_in
from parvis.api.web.shapes import Json, listing
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.person import Realm
from parvis.domain.identity.place import Target
from parvis.domain.identity.role import Role
from parvis.flows.grants import grant, withdraw
from parvis.flows.membership import touches_ownership

Name = Annotated[str, Field(max_length=100)]


class GrantsQuery(PageQuery):
    """Which grants: of one person, over one tenant."""

    user_id: Name | None = None
    tenant_id: Name | None = None


class GrantForm(BaseModel):
    """A role for somebody of the organisation, over one of its tenants or (without one) over all of it."""

    model_config = ConfigDict(extra="forbid")
    user_id: Name
    role: Role
    tenant_id: Name | None = None


async def all_grants(
    desk: TheDesk, actor: TheActor, query: Annotated[GrantsQuery, Query()]
) -> Annotated[Json, Listed[Grant]]:
    """Grants over places where the caller may read them, sorted by id."""
    found = await desk.store.people(Realm.CUSTOMER).grants(query.user_id, actor.organisation_id)
    seen = [
        one
        for one in found
        if actor.may(Permission.GRANTS_READ, one.target)
        and query.tenant_id in (None, one.target.tenant_id)
        and (query.after is None or one.grant_id > query.after)
    ]
    shown = seen[: query.limit]
    return listing([grant_shape(one) for one in shown], shown[-1].grant_id if len(seen) > query.limit else None)


async def create(request: Request, desk: TheDesk, actor: TheActor, form: GrantForm) -> Annotated[Json, Grant]:
    """Give a role. Nobody gives what they have not; making an owner needs a fresh proof."""
    target = checked_place(actor, Permission.GRANTS_WRITE, Target(actor.organisation_id, form.tenant_id or ""))
    lies_in(request, target)
    if touches_ownership([form.role]):
        check_proof(actor, desk.clock.unix_ms())
    return grant_shape(await grant(desk.store, desk.mint, actor, form.user_id, form.role, target))


async def delete(desk: TheDesk, actor: TheActor, grant_id: str) -> Annotated[Json, GrantWithdrawn]:
    """Take a role away again, at once. Unmaking an owner needs a fresh proof; the last one stays."""
    found = await desk.store.people(Realm.CUSTOMER).grant(grant_id)
    if found is not None and touches_ownership([found.role]):
        check_proof(actor, desk.clock.unix_ms())
    return {**grant_shape(await withdraw(desk.store, actor, grant_id)), "deleted": True}
