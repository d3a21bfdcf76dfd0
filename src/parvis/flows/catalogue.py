"""The catalogue and its prices, as the operator changes them."""

from collections.abc import Sequence
from dataclasses import replace

from parvis.core.clock import Clock
from parvis.core.errors import BadRequest, Conflict, NotFound
from parvis.domain.billing.price import PriceList
from parvis.domain.catalog.changes import Change, ChangeKind, plan
from parvis.domain.catalog.model import Model
from parvis.domain.catalog.rules import faults
from parvis.flows.store import CatalogueStore

PRICES_ALL = "*"


async def add_model(store: CatalogueStore, model: Model, clock: Clock) -> Model:
    """Add an entry. Raises Conflict when its id is taken, BadRequest when it is not sound."""
    if await store.model(model.id) is not None:
        raise Conflict(f"There is a model '{model.id}' already. PUT /v1/models/{model.id} changes it.", param="id")
    return (await apply(store, [model], clock))[0].model


async def apply(store: CatalogueStore, wanted: Sequence[Model], clock: Clock, *, dry_run: bool = False) -> list[Change]:
    """Make the entries what is wanted; give what changes by it. Entries that are not mentioned stay as they are.

    Raises BadRequest, and changes nothing, when the catalogue would not be sound. Each entry is written by itself:
    when the store goes away midway, applying again finishes it.
    """
    _refuse_twins(wanted)
    current = await store.models()
    changes = plan(current, [_dated(model, current, clock) for model in wanted])
    after = {model.id: model for model in current} | {change.model.id: change.model for change in changes}
    if problems := faults(list(after.values())):
        raise BadRequest(" ".join(problems[:3]), code="invalid_model")
    if not dry_run:
        for change in changes:
            if change.kind is not ChangeKind.SAME:
                await store.put_model(change.model)
    return changes


async def add_prices(store: CatalogueStore, prices: PriceList) -> None:
    """Append a price list. Raises NotFound for an unknown model, Conflict for a known version that differs."""
    if prices.model_id != PRICES_ALL and await store.model(prices.model_id) is None:
        raise NotFound(f"The catalogue has no model '{prices.model_id[:100]}'.", param="model_id")
    await store.add_prices(prices)


def _refuse_twins(wanted: Sequence[Model]) -> None:
    ids = [model.id for model in wanted]
    for model_id in ids:
        if ids.count(model_id) > 1:
            raise BadRequest(f"'{model_id}' is given twice.", code="invalid_model", param="models")


def _dated(model: Model, current: Sequence[Model], clock: Clock) -> Model:
    """An entry remembers when it came into the catalogue."""
    if model.created_unix_s:
        return model
    before = {known.id: known.created_unix_s for known in current}
    return replace(model, created_unix_s=before.get(model.id) or clock.unix_ms() // 1000)
