"""The first start: whole after one run, whole after a run that died anywhere, and never twice."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from parvis.adapters.store.store import SqlStore
from parvis.core.errors import Unavailable
from parvis.core.money import Money
from parvis.core.quantities import Quantities
from parvis.domain.billing.price import cost_of, price_in_force
from parvis.domain.billing.transfer import tenant_account
from parvis.domain.catalog.builtin import entry
from parvis.flows.catalogue import apply
from parvis.flows.first_start import TENANT_ID, first_start
from parvis.flows.keys import Mint, revoke_key

WRITES = ("put_model", "add_prices", "create_organisation", "create_tenant", "add_key")
MODELS = [
    entry("smollm2-135m-instruct", engine="smollm2", context_tokens=4096),
    entry("all-minilm-l6-v2", engine="minilm", context_tokens=512, embedding=True),
]


class Dying(SqlStore):
    """The real store, in a process that dies before or after one of its writes."""

    dies_at = ""
    dies_before = True

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        return self._deadly(found) if name == super().__getattribute__("dies_at") else found

    def _deadly(self, write: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def dying(*values: Any, **named: Any) -> None:
            if not self.dies_before:
                await write(*values, **named)
            raise Unavailable("the machine died")

        return dying


async def contents(store: SqlStore) -> tuple[object, ...]:
    return await store.models(), await store.prices(), await store.tenants(), await store.keys()


async def test_an_empty_store_is_furnished(store: SqlStore, mint: Mint) -> None:
    first = await first_start(store, mint, MODELS)
    assert first.models_added == ("smollm2-135m-instruct", "all-minilm-l6-v2")
    assert [(t.tenant_id, t.credit_unlimited) for t in await store.tenants()] == [(TENANT_ID, True)]
    assert first.key is not None
    assert await store.keys() == [first.key.key]


async def test_the_key_text_is_in_the_answer_and_not_in_the_store(store: SqlStore, mint: Mint) -> None:
    first = await first_start(store, mint, MODELS)
    assert first.key is not None
    text = first.key.text.reveal()
    assert text.startswith(f"sk-parvis_{first.key.key.key_id}_")
    assert text not in repr(first)
    assert text not in repr(await store.keys())


async def test_the_first_prices_are_the_published_ones(store: SqlStore, mint: Mint) -> None:
    await first_start(store, mint, MODELS)
    prices = price_in_force(await store.prices(), "any", 1)
    assert prices is not None
    assert prices.input_microeuro_per_mtoken == prices.cached_microeuro_per_mtoken == 900_000
    assert prices.output_microeuro_per_mtoken == 4_000_000
    assert prices.reasoning_microeuro_per_mtoken == 21_000_000
    assert prices.batch_reasoning_microeuro_per_mtoken == 10_500_000
    assert cost_of(Quantities(audio_ms=60_001, documents=1_000_000), prices) == Money.euro("4.02")
    assert prices.image_pico_euro_each is None


async def test_a_second_start_changes_nothing(store: SqlStore, mint: Mint) -> None:
    await first_start(store, mint, MODELS)
    before = await contents(store)
    second = await first_start(store, mint, MODELS)
    assert (second.key, second.models_added) == (None, ())
    assert await contents(store) == before


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("dies_before", [True, False])
async def test_a_start_that_died_is_completed_by_the_next(
    store: SqlStore, mint: Mint, write: str, *, dies_before: bool
) -> None:
    store.__class__ = Dying
    assert isinstance(store, Dying)
    store.dies_at, store.dies_before = write, dies_before
    with pytest.raises(Unavailable):
        await first_start(store, mint, MODELS)
    store.dies_at = ""
    second = await first_start(store, mint, MODELS)
    assert len(await store.models()) == 2
    assert len(await store.prices()) == len(await store.tenants()) == len(await store.keys()) == 1
    assert (second.key is None) == (write == "add_key" and not dies_before)


async def test_what_the_operator_changed_stays(store: SqlStore, mint: Mint) -> None:
    await first_start(store, mint, MODELS)
    changed = entry("smollm2-135m-instruct", engine="elsewhere", context_tokens=100)
    await apply(store, [changed], mint.clock)
    await first_start(store, mint, MODELS)
    kept = await store.model("smollm2-135m-instruct")
    assert kept is not None
    assert (kept.engine, kept.context_tokens) == ("elsewhere", 100)


async def test_a_revoked_first_key_is_not_replaced(store: SqlStore, mint: Mint) -> None:
    first = await first_start(store, mint, MODELS)
    assert first.key is not None
    await revoke_key(store, first.key.key.key_id)
    assert (await first_start(store, mint, MODELS)).key is None


async def test_an_operator_with_tenants_of_his_own_gets_no_first_one(store: SqlStore, mint: Mint) -> None:
    await store.create_organisation("acme", "Acme")
    await store.create_tenant("acme-lab", "acme", "Lab", credit_unlimited=False)
    first = await first_start(store, mint, MODELS)
    assert first.key is None
    assert [tenant.tenant_id for tenant in await store.tenants()] == ["acme-lab"]
    assert await store.keys() == []


async def test_an_alias_that_is_taken_is_left_to_its_owner(store: SqlStore, mint: Mint) -> None:
    await apply(store, [entry("default", engine="mine", context_tokens=100)], mint.clock)
    await first_start(store, mint, MODELS)
    added = await store.model("smollm2-135m-instruct")
    assert added is not None
    assert added.aliases == ()


async def test_a_credit_that_is_said_is_all_that_the_first_tenant_has(store: SqlStore, mint: Mint) -> None:
    for credit in (Money.euro(3), Money.euro(3), Money.euro(5)):  # again, and with a setting that has changed since
        await first_start(store, mint, MODELS, credit)
    assert [tenant.credit_unlimited for tenant in await store.tenants()] == [False]
    assert await store.balance(tenant_account(TENANT_ID)) == Money.euro(3)
    assert await store.check() == []
