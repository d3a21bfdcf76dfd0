"""The first start: what an empty store needs before anybody can be served.

Every step asks what is there before it acts, and the key comes last. So a start that died midway is completed by
the next one, a second start changes nothing, and only a start that dies right after making the key loses it unseen
(then `parvis key create` makes another).
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from parvis.core.errors import Conflict
from parvis.core.money import ZERO, Money
from parvis.domain.billing.price import PriceList
from parvis.domain.catalog.model import Model
from parvis.domain.catalog.rules import free_aliases
from parvis.domain.identity.organisation import Tenant
from parvis.flows.catalogue import PRICES_ALL, apply
from parvis.flows.keys import Mint, NewKey, create_key
from parvis.flows.ledger_store import LedgerStore
from parvis.flows.limit_store import LimitStore
from parvis.flows.limits import first_tiers
from parvis.flows.store import CatalogueStore, IdentityStore

ORGANISATION_ID = "first"
TENANT_ID = "first"
_NAME = "First"
_KEY_NAME = "first key"
_CREDIT_REFERENCE = "first start"

FIRST_PRICES = PriceList(
    version="first",
    model_id=PRICES_ALL,
    valid_from_unix_ms=0,  # in force whatever the clocks of this and other machines say
    input_microeuro_per_mtoken=900_000,
    cached_microeuro_per_mtoken=900_000,
    output_microeuro_per_mtoken=4_000_000,
    reasoning_microeuro_per_mtoken=21_000_000,
    audio_pico_euro_per_minute=10_000_000_000,
    rerank_pico_euro_per_document=4_000_000,
)
"""The published price list: 0.90 € for a million input tokens, 4 € for output, 21 € for reasoning; batch half of that.

A started minute of audio is 0.01 €, a million reranked documents 4 €. No price of an image was ever published: images
are not sold until the operator sets one.
"""


class FirstStore(IdentityStore, CatalogueStore, LimitStore, LedgerStore, Protocol):
    """The ports that this story needs, of one store."""


@dataclass(frozen=True, slots=True)
class FirstStart:
    """What this start had to make. `key` is None from the second start on."""

    key: NewKey | None
    models_added: tuple[str, ...]


async def first_start(
    store: FirstStore, mint: Mint, models: Sequence[Model], credit: Money | None = None
) -> FirstStart:
    """Bring an empty or half-made store to where it can serve `models`: the entries of the settings' engines.

    Entries that exist are the operator's and stay as they are. The first tenant has this credit, once, or spends
    without limit when none is said. May run at every start.
    """
    added = await _models(store, mint, models)
    if not await store.prices():
        await store.add_prices(FIRST_PRICES)
    await first_tiers(store)
    tenant = await _tenant(store, credit)
    return FirstStart(await _key(store, mint, tenant), added)


async def _models(store: CatalogueStore, mint: Mint, models: Sequence[Model]) -> tuple[str, ...]:
    present = await store.models()
    known = {model.id for model in present}
    new = [replace(m, aliases=free_aliases(m, present)) for m in models if m.id not in known]
    await apply(store, new, mint.clock)
    return tuple(model.id for model in new)


async def _tenant(store: FirstStore, credit: Money | None) -> Tenant | None:
    """The first tenant, made if there is none at all; None once the operator has others and not this one."""
    if not await store.tenants():
        with suppress(Conflict):  # a start that died here has made it
            await store.create_organisation(ORGANISATION_ID, _NAME)
        await store.create_tenant(TENANT_ID, ORGANISATION_ID, _NAME, credit_unlimited=credit is None)
    tenant = next((tenant for tenant in await store.tenants() if tenant.tenant_id == TENANT_ID), None)
    if tenant is not None and credit not in (None, ZERO) and not tenant.credit_unlimited:
        with suppress(Conflict):  # given at an earlier start, and the setting has changed since
            await store.credit(TENANT_ID, credit, _CREDIT_REFERENCE)
    return tenant


async def _key(store: FirstStore, mint: Mint, tenant: Tenant | None) -> NewKey | None:
    """A key for a tenant that never had one; one that was revoked is not replaced."""
    if tenant is None or any(key.tenant_id == tenant.tenant_id for key in await store.keys()):
        return None
    return await create_key(store, mint, tenant, _KEY_NAME)
