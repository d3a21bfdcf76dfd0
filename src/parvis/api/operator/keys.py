"""API keys: `/v1/keys`."""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from parvis.api.operator.desk import TheDesk
from parvis.api.web.queries import PageQuery
from parvis.api.web.shapes import Json, key_shape, page
from parvis.domain.identity.scope import ANY_MODEL
from parvis.flows.keys import create_key, list_keys, models_named, revoke_key, tenant_named

MODELS_MAX = 200


class KeyForm(BaseModel):
    """A key that somebody wants. `models` are ids or aliases; without a tenant it belongs to the only one."""

    model_config = ConfigDict(extra="forbid")
    name: str
    tenant_id: str | None = None
    models: list[str] = Field(default=[ANY_MODEL], min_length=1, max_length=MODELS_MAX)


class KeysQuery(PageQuery):
    """Which keys: of one tenant or of all."""

    tenant: str | None = None


async def all_keys(desk: TheDesk, query: Annotated[KeysQuery, Query()]) -> Json:
    """Keys without their secrets, revoked ones included, sorted by id."""
    keys = await list_keys(desk.store, query.tenant)
    return page(keys, lambda key: key.key_id, key_shape, query.after, query.limit)


async def create(desk: TheDesk, form: KeyForm) -> Json:
    """A new key. `key` is its whole text: this answer is the only place where it ever stands."""
    tenant = await tenant_named(desk.store, form.tenant_id)
    models = await models_named(desk.store, form.models)
    made = await create_key(desk.store, desk.mint, tenant, form.name, models)
    await desk.announce()
    return {**key_shape(made.key), "key": made.text.reveal()}


async def revoke(desk: TheDesk, key_id: str) -> Json:
    """End a key for good."""
    await revoke_key(desk.store, key_id)
    await desk.announce()
    return {"object": "key", "id": key_id, "active": False}
