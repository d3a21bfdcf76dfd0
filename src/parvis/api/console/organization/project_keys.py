"""`/v1/organization/projects/{project_id}/api_keys` and `.../service_accounts`: the keys of a project.

A key with an owner is that user's. One without is the tenant's own: OpenAI calls it the key of a service account, and
here both are one thing with one id.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from parvis.api.console.desk import ConsoleDesk, TheDesk
from parvis.api.console.organization.answers import Deleted, IdList, NewServiceAccount, ProjectKey, ServiceAccount
from parvis.api.console.organization.asking import TheProject
from parvis.api.console.organization.lists import MS_PER_S, ListQuery, id_list, unix_s, unix_s_or_none
from parvis.api.console.organization.roles import project_role_name
from parvis.api.web.limit_shapes import LimitsForm
from parvis.api.web.shapes import Json
from parvis.core.errors import BadRequest, NotFound
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.key_text import PREFIX
from parvis.domain.identity.organisation import Project
from parvis.flows.keys import KeyTerms, create_key, revoke_key, tenant_named
from parvis.flows.membership import Roles, members
from parvis.flows.project_keys import last_uses, project_key, project_keys
from parvis.flows.reach import place_of

EXPIRES_S_MAX = 10 * 366 * 86_400
_People = dict[str, tuple[str, str, int, Roles]]


class KeysQuery(ListQuery):
    """Which keys: of owners who have a role in the project now, of others, or of both."""

    owner_project_access: Literal["active", "inactive", "any"] = "any"


class ServiceAccountForm(BaseModel):
    """A key of the tenant's own that somebody wants. Its other terms are set at `/v1/keys/{key_id}`."""

    model_config = ConfigDict(extra="forbid")
    name: str
    expires_in_seconds: int | None = Field(default=None, ge=1, le=EXPIRES_S_MAX)
    create_service_account_only: bool | None = None
    limits: LimitsForm = LimitsForm()
    """Ours: what the key itself may use."""


async def all_keys(
    desk: TheDesk, project: TheProject, query: Annotated[KeysQuery, Query()]
) -> Annotated[Json, IdList[ProjectKey]]:
    """Keys that were not revoked, sorted by id, without their secrets."""
    people = await _people(desk, project)
    wanted = query.owner_project_access

    def asked(key: ApiKey) -> bool:
        return wanted == "any" or _has_access(key, people) == (wanted == "active")

    found = await project_keys(desk.store, project, query.after, query.limit + 1, asked)
    return id_list(await _shapes(desk, found, people), query.limit)


async def one_key(desk: TheDesk, project: TheProject, key_id: str) -> Annotated[Json, ProjectKey]:
    """One key of the project."""
    found = await project_key(desk.store, project, key_id)
    return (await _shapes(desk, [found], await _people(desk, project)))[0]


async def delete_key(desk: TheDesk, project: TheProject, key_id: str) -> Annotated[Json, Deleted]:
    """Revoke a key for good: within a second it is refused everywhere."""
    await _revoke(desk, project, key_id)
    return {"id": key_id, "object": "organization.project.api_key.deleted", "deleted": True}


async def all_accounts(
    desk: TheDesk, project: TheProject, query: Annotated[ListQuery, Query()]
) -> Annotated[Json, IdList[ServiceAccount]]:
    """The project's keys without an owner, sorted by id."""
    found = await project_keys(desk.store, project, query.after, query.limit + 1, lambda key: not key.owner_id)
    return id_list([account_shape(key) for key in found], query.limit)


async def create_account(
    desk: TheDesk, project: TheProject, form: ServiceAccountForm
) -> Annotated[Json, NewServiceAccount]:
    """A new key. `api_key.value` is its whole text: this answer is the only place where it ever stands."""
    if form.create_service_account_only:
        raise BadRequest(
            "A service account is its key here: none is made without.", param="create_service_account_only"
        )
    seconds = form.expires_in_seconds
    ends = None if seconds is None else desk.clock.unix_ms() + seconds * MS_PER_S
    tenant = await tenant_named(desk.store, project.tenant_id)
    terms = KeyTerms(project_id=project.project_id, ends_unix_ms=ends, limits=form.limits.limits())
    made = await create_key(desk.store, desk.mint, tenant, form.name, terms=terms)
    await desk.announce()
    value = {
        "id": made.key.key_id,
        "object": "organization.project.service_account.api_key",
        "name": made.key.name,
        "created_at": unix_s(made.key.created_unix_ms),
        "expires_at": unix_s_or_none(made.key.ends_unix_ms),
        "value": made.text.reveal(),
    }
    return {**account_shape(made.key), "api_key": value}


async def one_account(desk: TheDesk, project: TheProject, key_id: str) -> Annotated[Json, ServiceAccount]:
    """One key without an owner."""
    return account_shape(_without_owner(await project_key(desk.store, project, key_id)))


async def delete_account(desk: TheDesk, project: TheProject, key_id: str) -> Annotated[Json, Deleted]:
    """Revoke a key without an owner for good."""
    _without_owner(await project_key(desk.store, project, key_id))
    await _revoke(desk, project, key_id)
    return {"id": key_id, "object": "organization.project.service_account.deleted", "deleted": True}


def account_shape(key: ApiKey) -> Json:
    """A key, as the service account that it stands for."""
    return {
        "id": key.key_id,
        "object": "organization.project.service_account",
        "name": key.name,
        "role": "member",
        "created_at": unix_s(key.created_unix_ms),
        "tenant_id": key.tenant_id,
    }


async def _revoke(desk: ConsoleDesk, project: Project, key_id: str) -> None:
    await project_key(desk.store, project, key_id)
    await revoke_key(desk.store, key_id)
    await desk.announce()


def _without_owner(key: ApiKey) -> ApiKey:
    if key.owner_id:
        raise NotFound(f"There is no service account '{key.key_id}' in this project.", param="key_id")
    return key


async def _people(desk: ConsoleDesk, project: Project) -> _People:
    """Who has a role in the project."""
    found = await members(desk.store, place_of(project))
    return {p.user_id: (p.email, p.name, p.created_unix_ms, held) for p, held in found}


def _has_access(key: ApiKey, people: _People) -> bool:
    return not key.owner_id or key.owner_id in people


async def _shapes(desk: ConsoleDesk, keys: Sequence[ApiKey], people: _People) -> list[Json]:
    used = await last_uses(desk.store, keys)
    return [
        {
            "id": key.key_id,
            "object": "organization.project.api_key",
            "name": key.name,
            "redacted_value": f"{PREFIX}_{key.key_id}_...",
            "created_at": unix_s(key.created_unix_ms),
            "expires_at": unix_s_or_none(key.ends_unix_ms),
            "last_used_at": unix_s_or_none(used.get(key.key_id)),
            "owner": _owner(key, people),
            "owner_project_access": "active" if _has_access(key, people) else "inactive",
            "tenant_id": key.tenant_id,
        }
        for key in keys
    ]


def _owner(key: ApiKey, people: _People) -> Json:
    if not key.owner_id:
        account = account_shape(key)
        return {"type": "service_account", "service_account": account, "user": None}
    email, name, created, held = people.get(key.owner_id, ("", "", key.created_unix_ms, ()))
    role = project_role_name({one.role for one in held})
    user = {"id": key.owner_id, "email": email, "name": name, "created_at": unix_s(created), "role": role}
    return {"type": "user", "user": user, "service_account": None}
