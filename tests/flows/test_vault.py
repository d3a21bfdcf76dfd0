"""The vault on a real store: sealed values open where they were sealed, and nowhere once the keys are destroyed."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from parvis.adapters.store.store import SqlStore
from parvis.domain.vault.sealing import Place, SealBroken
from parvis.flows.vault import TenantVault
from parvis.testing.empty_store import empty_store

PLACE = Place("acme", "answers", "row-1", "text", 1)


@pytest.fixture
async def vault(tmp_path: Path) -> AsyncIterator[tuple[TenantVault, SqlStore]]:
    store = SqlStore(empty_store(tmp_path / "vault.sqlite"))
    await store.open()
    await store.create_organisation("acme", "Acme")
    for tenant_id in ("acme", "other"):
        await store.create_tenant(tenant_id, "acme", tenant_id, credit_unlimited=True)
    yield TenantVault(store, b"r" * 32, os.urandom), store
    await store.close()


async def test_a_sealed_value_opens_at_its_place(vault: tuple[TenantVault, SqlStore]) -> None:
    sealed = await vault[0].seal(PLACE, "content", b"plain")
    assert b"plain" not in sealed
    assert await vault[0].open(PLACE, "content", sealed) == b"plain"


async def test_another_tenant_or_purpose_cannot_open_it(vault: tuple[TenantVault, SqlStore]) -> None:
    sealed = await vault[0].seal(PLACE, "content", b"plain")
    await vault[0].seal(PLACE._replace(tenant_id="other"), "content", b"theirs")
    await vault[0].seal(PLACE, "receipts", b"ours, for something else")
    for place, purpose in ((PLACE._replace(tenant_id="other"), "content"), (PLACE, "receipts")):
        with pytest.raises(SealBroken):
            await vault[0].open(place, purpose, sealed)


async def test_keys_made_at_once_are_one_key(vault: tuple[TenantVault, SqlStore]) -> None:
    sealed = await asyncio.gather(*(vault[0].seal(PLACE, "content", b"plain") for _ in range(8)))
    assert [await vault[0].open(PLACE, "content", one) for one in sealed] == [b"plain"] * 8


async def test_destroyed_keys_destroy_the_content(vault: tuple[TenantVault, SqlStore]) -> None:
    sealed = await vault[0].seal(PLACE, "content", b"plain")
    await vault[1].destroy_data_keys("acme")
    with pytest.raises(SealBroken, match="destroyed"):
        await vault[0].open(PLACE, "content", sealed)


async def test_another_root_key_opens_nothing(vault: tuple[TenantVault, SqlStore]) -> None:
    sealed = await vault[0].seal(PLACE, "content", b"plain")
    with pytest.raises(SealBroken):
        await TenantVault(vault[1], b"s" * 32, os.urandom).open(PLACE, "content", sealed)
