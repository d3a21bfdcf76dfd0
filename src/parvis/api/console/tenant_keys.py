"""API keys with all that can be said of them: `/v1/tenants/{tenant_id}/keys` and `/v1/keys/{key_id}`."""

from typing import Annotated, Literal

from fastapi import Query

from parvis.api.console.desk import ConsoleDesk, TheDesk
from parvis.api.web.admission import check_proof
from parvis.api.web.answers import Listed
from parvis.api.web.answers_keys import Key, KeyRevoked, NewKey
from parvis.api.web.key_forms import KeyChange, Name, NewTermsForm, key_state_shape, limits_of_keys
from parvis.api.web.queries import PageQuery
from parvis.api.web.rotation_form import RotationForm
from parvis.api.web.routes import TheActor
from parvis.api.web.shapes import Json, listing
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.principal import Principal
from parvis.flows.keys import change_key, create_key, key_named, keys_page, revoke_key, tenant_named
from parvis.flows.rotation import state_of, states_of


class KeyForm(NewTermsForm):
    """A key that somebody wants: their own, which goes when they go, or the tenant's."""

    name: Name
    owner: Literal["me", "tenant"] = "me"


async def all_keys(desk: TheDesk, tenant_id: str, query: Annotated[PageQuery, Query()]) -> Annotated[Json, Listed[Key]]:
    """The keys of a tenant, revoked ones included, sorted by id."""
    keys, following = await keys_page(desk.store, [tenant_id], query.after, query.limit)
    states, limits = await states_of(desk.store, desk.clock, keys), await limits_of_keys(desk.store, keys)
    return listing([key_state_shape(*one) for one in zip(keys, states, limits, strict=True)], following)


async def create(desk: TheDesk, actor: TheActor, tenant_id: str, form: KeyForm) -> Annotated[Json, NewKey]:
    """A new key. `key` is its whole text: this answer is the only place where it ever stands."""
    tenant = await tenant_named(desk.store, tenant_id)
    owner_id = actor.subject_id if form.owner == "me" else ""
    made = await create_key(desk.store, desk.mint, tenant, form.name, terms=form.terms(owner_id))
    await desk.announce()
    return {**await _shown(desk, made.key), "key": made.text.reveal()}


async def one(desk: TheDesk, key_id: str) -> Annotated[Json, Key]:
    """One key, with the last use of each of its secrets."""
    return await _shown(desk, await key_named(desk.store, key_id))


async def change(desk: TheDesk, actor: TheActor, key_id: str, form: KeyChange) -> Annotated[Json, Key]:
    """Other terms. They hold at every gateway within a second. Another user's key needs a fresh proof."""
    _check_owner(desk, actor, await key_named(desk.store, key_id))
    changed = await change_key(desk.store, desk.clock, key_id, form.applied)
    await desk.announce()
    return await _shown(desk, changed)


async def revoke(desk: TheDesk, key_id: str) -> Annotated[Json, KeyRevoked]:
    """End a key for good: within a second it is refused everywhere. Whoever may write keys may do it, at once."""
    await revoke_key(desk.store, key_id)
    await desk.announce()
    return {"object": "key", "id": key_id, "active": False}


async def rotate(desk: TheDesk, actor: TheActor, key_id: str, form: RotationForm) -> Annotated[Json, Key]:
    """Make the next secret due now, let the current one work for longer, or end the older of two at once.

    The next secret itself is only ever given to who shows the current one: `POST /v1/keys/sync`.
    """
    _check_owner(desk, actor, await key_named(desk.store, key_id))
    changed = await form.done(desk.store, desk.clock, key_id)
    await desk.announce()
    return await _shown(desk, changed)


async def _shown(desk: ConsoleDesk, key: ApiKey) -> Json:
    [limits] = await limits_of_keys(desk.store, [key])
    return key_state_shape(key, await state_of(desk.store, desk.clock, key), limits)


def _check_owner(desk: ConsoleDesk, actor: Principal, key: ApiKey) -> None:
    """The key of another person is theirs: who changes it shows that they are there."""
    if key.owner_id not in ("", actor.subject_id):
        check_proof(actor, desk.clock.unix_ms())
