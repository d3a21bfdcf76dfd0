"""Roles: what can be said of one in a body, and how a grant looks and ends."""

from collections.abc import Iterable
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from parvis.api.operator.answers import GrantAtLevel, RoleRules
from parvis.api.operator.desk import OperatorDesk, TheDesk
from parvis.api.web.admission import check_proof
from parvis.api.web.answers import Listed
from parvis.api.web.instants import write_instant
from parvis.api.web.queries import PageQuery
from parvis.api.web.routes import TheActor
from parvis.api.web.shapes import Json, page
from parvis.domain.identity.person import Realm
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import Principal
from parvis.domain.identity.role import RULES, Grant, Role, level_of
from parvis.flows import grants
from parvis.flows.membership import touches_ownership

Text = Annotated[str, Field(max_length=300)]


class RoleForm(BaseModel):
    """A role, over the whole organisation or over one tenant of it."""

    model_config = ConfigDict(extra="forbid")
    role: Role
    tenant_id: Text = ""


class GrantForm(RoleForm):
    """A role that somebody is to have."""


class GrantsQuery(PageQuery):
    """Which grants: over places of one organisation or of all."""

    organisation: Text | None = None


async def all_grants(desk: TheDesk, query: Annotated[GrantsQuery, Query()]) -> Annotated[Json, Listed[GrantAtLevel]]:
    """Every role of customers' users, sorted by id."""
    found = await desk.store.people(Realm.CUSTOMER).grants(organisation_id=query.organisation)
    return page(found, lambda one: one.grant_id, grant_shape, query.after, query.limit)


async def withdraw(desk: TheDesk, actor: TheActor, grant_id: str) -> Annotated[Json, GrantAtLevel]:
    """Take a role away from a customer's user."""
    return await _withdraw(desk, actor, grant_id, Realm.CUSTOMER)


async def withdraw_operator(desk: TheDesk, actor: TheActor, grant_id: str) -> Annotated[Json, GrantAtLevel]:
    """Take a role away from one of the operator's people."""
    return await _withdraw(desk, actor, grant_id, Realm.OPERATOR)


async def roles() -> Annotated[Json, Listed[RoleRules]]:
    """Every role: what it gives, over what it can be granted, and what it excludes."""
    data = [
        {
            "object": "role",
            "id": role,
            "levels": sorted(rules.levels),
            "excludes": sorted(rules.excludes),
            "permissions": sorted(rules.permissions),
        }
        for role, rules in RULES.items()
    ]
    return {"object": "list", "data": data, "has_more": False, "next": None}


def role_at(organisation_id: str, form: RoleForm) -> tuple[Role, Target]:
    """A role over an organisation or a tenant of it."""
    return form.role, Target(organisation_id, form.tenant_id)


def check_ownership(actor: Principal, desk: OperatorDesk, given: Iterable[Role]) -> None:
    """Giving and taking ownership needs a fresh proof of who does it. Raises NotPermitted."""
    if touches_ownership(given):
        check_proof(actor, desk.clock.unix_ms())


def grant_shape(one: Grant) -> Json:
    """One role of one person over one place."""
    return {
        "object": "grant",
        "id": one.grant_id,
        "user_id": one.user_id,
        "role": one.role,
        "level": level_of(one.target),
        "organisation_id": one.target.organisation_id,
        "tenant_id": one.target.tenant_id,
        "granted_by": one.granted_by,
        "granted_at": write_instant(one.granted_unix_ms),
    }


async def _withdraw(desk: OperatorDesk, actor: Principal, grant_id: str, realm: Realm) -> Json:
    found = await desk.store.people(realm).grant(grant_id)
    check_ownership(actor, desk, [] if found is None else [found.role])
    return grant_shape(await grants.withdraw(desk.store, actor, grant_id, realm))
