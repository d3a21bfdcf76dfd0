"""API keys: `/v1/keys`."""

from typing import Annotated

from fastapi import Query
from pydantic import Field

from parvis.api.operator.desk import OperatorDesk, TheDesk
from parvis.api.web.answers import Listed
from parvis.api.web.answers_keys import Key, KeyRevoked, NewKey
from parvis.api.web.key_forms import MODELS_MAX, KeyChange, Name, NewTermsForm, key_state_shape, limits_of_keys
from parvis.api.web.queries import PageQuery
from parvis.api.web.rotation_form import RotationForm
from parvis.api.web.shapes import Json, listing
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.person import Realm
from parvis.domain.identity.scope import ANY_MODEL
from parvis.flows import keys, rotation
from parvis.flows.organisations import organisation_of, tenants_of
from parvis.flows.people import person_named

Text = Annotated[str, Field(max_length=300)]


class KeyForm(NewTermsForm):
    """A key that somebody wants. Without a tenant it belongs to the only one, without an owner to the tenant."""

    name: Text
    tenant_id: Text | None = None
    owner_id: Text = ""
    models: list[Name] = Field(default=[ANY_MODEL], min_length=1, max_length=MODELS_MAX)


class KeysQuery(PageQuery):
    """Which keys: of one tenant, of one organisation, or of all; those that were revoked only if asked for."""

    tenant: Text | None = None
    organisation: Text | None = None
    revoked: bool = True


async def all_keys(desk: TheDesk, query: Annotated[KeysQuery, Query()]) -> Annotated[Json, Listed[Key]]:
    """Keys without their secrets, sorted by id."""
    tenant_ids = await _tenant_ids(desk, query)
    found, following = await keys.keys_page(desk.store, tenant_ids, query.after, query.limit)
    shown = [key for key in found if key.active or query.revoked]
    states = await rotation.states_of(desk.store, desk.clock, shown)
    limits = await limits_of_keys(desk.store, shown)
    return listing([key_state_shape(*one) for one in zip(shown, states, limits, strict=True)], following)


async def create(desk: TheDesk, form: KeyForm) -> Annotated[Json, NewKey]:
    """A new key. `key` is its whole text: this answer is the only place where it ever stands."""
    tenant = await keys.tenant_named(desk.store, form.tenant_id)
    if form.owner_id:
        await person_named(desk.store, Realm.CUSTOMER, form.owner_id, tenant.organisation_id)
    made = await keys.create_key(desk.store, desk.mint, tenant, form.name, terms=form.terms(form.owner_id))
    await desk.announce()
    return {**await _shape(desk, made.key), "key": made.text.reveal()}


async def one(desk: TheDesk, key_id: str) -> Annotated[Json, Key]:
    """One key, and where it stands in its rotation."""
    return await _shape(desk, await keys.key_named(desk.store, key_id))


async def change(desk: TheDesk, key_id: str, form: KeyChange) -> Annotated[Json, Key]:
    """Other terms. They hold at every gateway within a second."""
    changed = await keys.change_key(desk.store, desk.clock, key_id, form.applied)
    await desk.announce()
    return await _shape(desk, changed)


async def revoke(desk: TheDesk, key_id: str) -> Annotated[Json, KeyRevoked]:
    """End a key for good."""
    await keys.revoke_key(desk.store, key_id)
    await desk.announce()
    return {"object": "key", "id": key_id, "active": False}


async def rotate(desk: TheDesk, key_id: str, form: RotationForm) -> Annotated[Json, Key]:
    """Make the next secret due now, let the current one work for longer, or end the older of two at once."""
    changed = await form.done(desk.store, desk.clock, key_id)
    await desk.announce()
    return await _shape(desk, changed)


async def _shape(desk: OperatorDesk, key: ApiKey) -> Json:
    [limits] = await limits_of_keys(desk.store, [key])
    return key_state_shape(key, await rotation.state_of(desk.store, desk.clock, key), limits)


async def _tenant_ids(desk: OperatorDesk, query: KeysQuery) -> list[str] | None:
    """Those whose keys are wanted; None for all. Raises NotFound for a place that is not there."""
    if query.tenant is not None:
        return [(await keys.tenant_named(desk.store, query.tenant)).tenant_id]
    if query.organisation is not None:
        await organisation_of(desk.store, query.organisation)
        return [tenant.tenant_id for tenant in await tenants_of(desk.store, query.organisation)]
    return None
