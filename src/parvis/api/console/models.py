"""The models that a key may use, with what the catalogue knows of them and what they cost."""

from typing import Annotated

from fastapi import Query

from parvis.api.console.desk import TheDirectory, TheKey
from parvis.api.web.answers import Listed, ModelCard
from parvis.api.web.queries import PageQuery
from parvis.api.web.shapes import Json, page, price_shape
from parvis.core.errors import NotFound, Unavailable
from parvis.domain.catalog.model import Model
from parvis.flows.ports import Directory


async def all_models(
    directory: TheDirectory, key: TheKey, query: Annotated[PageQuery, Query()]
) -> Annotated[Json, Listed[ModelCard]]:
    """The cards of this key's models, sorted by id."""
    models = directory.models(key)
    return page(models, lambda model: model.id, lambda model: _card(directory, model), query.after, query.limit)


async def one(directory: TheDirectory, key: TheKey, name: str) -> Annotated[Json, ModelCard]:
    """The card of one model, by id or alias."""
    for model in directory.models(key):
        if name == model.id or name in model.aliases:
            return _card(directory, model)
    raise NotFound(f"The model '{name[:100]}' does not exist or you do not have access to it.", code="model_not_found")


def _card(directory: Directory, model: Model) -> Json:
    """What a customer may know: never engines or machines."""
    return {
        "object": "model",
        "id": model.id,
        "aliases": list(model.aliases),
        "state": model.state,
        "track": model.track,
        "capabilities": list(model.capabilities),
        "context_tokens": model.context_tokens,
        "dimensions": model.dimensions,
        "editor": model.editor,
        "country": model.country,
        "parameters": model.parameters,
        "speed_tokens_per_s": model.speed_tokens_per_s,
        "energy_wh_per_mtoken": model.energy_wh_per_mtoken,
        "licence": model.licence,
        "languages": list(model.languages),
        "tags": list(model.tags),
        "use_cases": list(model.use_cases),
        "production_on": model.production_on,
        "end_of_support_on": model.end_of_support_on,
        "long_term_support": model.long_term_support,
        "successor": model.successor,
        "card_url": model.card_url,
        "prices": _prices(directory, model),
    }


def _prices(directory: Directory, model: Model) -> Json | None:
    """None of a model that cannot be used yet, because nobody gave it a price."""
    try:
        return price_shape(directory.prices(model))
    except Unavailable:
        return None
