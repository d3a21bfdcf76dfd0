"""API keys: their text, their digest, and the names that they are given."""

import pytest

from parvis.adapters.store.store import SqlStore
from parvis.core.errors import BadRequest, NotAuthenticated, NotFound
from parvis.domain.catalog.builtin import entry
from parvis.domain.identity.organisation import Tenant
from parvis.flows.customers import welcome
from parvis.flows.keys import Mint, create_key, list_keys, models_named, revoke_key, tenant_named


@pytest.fixture
async def tenant(store: SqlStore) -> Tenant:
    await store.create_organisation("acme", "Acme")
    await store.create_tenant("lab", "acme", "Lab", credit_unlimited=False)
    return await tenant_named(store, "lab")


async def test_a_new_key_opens_the_door(store: SqlStore, mint: Mint, tenant: Tenant) -> None:
    made = await create_key(store, mint, tenant, "notebook")
    key, _ = await welcome(store, mint.pepper(), mint.clock, made.text.reveal())
    assert key == made.key


async def test_a_key_under_another_pepper_is_none(store: SqlStore, mint: Mint, tenant: Tenant) -> None:
    made = await create_key(store, mint, tenant, "notebook")
    with pytest.raises(NotAuthenticated):
        await welcome(store, b"another pepper", mint.clock, made.text.reveal())


async def test_a_revoked_key_is_listed_and_refused(store: SqlStore, mint: Mint, tenant: Tenant) -> None:
    made = await create_key(store, mint, tenant, "notebook")
    await revoke_key(store, made.key.key_id)
    assert [key.active for key in await list_keys(store)] == [False]
    with pytest.raises(NotAuthenticated):
        await welcome(store, mint.pepper(), mint.clock, made.text.reveal())


@pytest.mark.parametrize("credential", [None, "", "sk-parvis_x", "Bearer"])
async def test_what_cannot_be_a_key_is_refused_before_anything_is_read(mint: Mint, credential: str | None) -> None:
    never_opened = SqlStore("sqlite:///nowhere/at/all.sqlite")
    with pytest.raises(NotAuthenticated):
        await welcome(never_opened, b"", mint.clock, credential)


async def test_keys_are_listed_by_tenant(store: SqlStore, mint: Mint, tenant: Tenant) -> None:
    await store.create_tenant("other", "acme", "Other", credit_unlimited=False)
    made = await create_key(store, mint, await tenant_named(store, "other"), "other")
    await create_key(store, mint, tenant, "mine")
    assert await list_keys(store, "other") == [made.key]
    assert len(await list_keys(store)) == 2


@pytest.mark.parametrize("name", ["", "x" * 101, "line\nbreak", "\x1b[31m"])
async def test_a_name_that_cannot_be_printed_is_refused(store: SqlStore, mint: Mint, tenant: Tenant, name: str) -> None:
    with pytest.raises(BadRequest):
        await create_key(store, mint, tenant, name)


async def test_revoking_an_unknown_key_says_so(store: SqlStore) -> None:
    with pytest.raises(NotFound):
        await revoke_key(store, "0000000000000000")


async def test_the_only_tenant_needs_no_name(store: SqlStore, tenant: Tenant) -> None:
    assert await tenant_named(store, None) == tenant
    await store.create_tenant("other", "acme", "Other", credit_unlimited=False)
    with pytest.raises(BadRequest):
        await tenant_named(store, None)
    with pytest.raises(NotFound):
        await tenant_named(store, "third")


async def test_a_key_keeps_ids_whatever_names_were_said(store: SqlStore) -> None:
    await store.put_model(entry("smollm2-135m-instruct", engine="smollm2", context_tokens=8192))
    assert await models_named(store, ["default", "smollm2-135m-instruct"]) == ("smollm2-135m-instruct",)
    assert await models_named(store, ["*"]) == ("*",)
    with pytest.raises(BadRequest, match="no model 'gpt'"):
        await models_named(store, ["gpt"])
