"""`GET /v1/models` and `GET /v1/models/{id}`: what the caller's key may use."""

from typing import Any
from urllib.parse import unquote

import msgspec

from parvis.api.inference.desk import Desk
from parvis.api.inference.exchange import Exchange
from parvis.core.errors import NotFound
from parvis.domain.catalog.model import Model


async def all_models(desk: Desk, exchange: Exchange, _: str) -> None:
    """All models of the caller's, as one page."""
    directory = desk.house.directory
    shown = [model_card(model) for model in directory.models(directory.key(exchange.call.credential))]
    ids = [card["id"] for card in shown]
    page = {
        "object": "list",
        "data": shown,
        "has_more": False,
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
    }
    exchange.answer(msgspec.json.encode(page))


async def one_model(desk: Desk, exchange: Exchange, argument: str) -> None:
    """The model of this id or alias. Raises NotFound."""
    directory = desk.house.directory
    name = unquote(argument)
    for model in directory.models(directory.key(exchange.call.credential)):
        if name == model.id or name in model.aliases:
            exchange.answer(msgspec.json.encode(model_card(model)))
            return
    raise NotFound(
        f"The model '{name[:200]}' does not exist or you do not have access to it.",
        code="model_not_found",
        param="model",
    )


def model_card(model: Model) -> dict[str, Any]:
    """The protocol's four fields, then what the catalogue knows (never engines or machines)."""
    return {
        "id": model.id,
        "object": "model",
        "created": model.created_unix_s,
        "owned_by": model.editor or "unknown",
        "context_length": model.context_tokens,
        "capabilities": list(model.capabilities),
        "aliases": list(model.aliases),
        "state": model.state,
        "track": model.track,
        "licence": model.licence,
        "languages": list(model.languages),
        "tags": list(model.tags),
        "end_of_support_on": model.end_of_support_on,
        "successor": model.successor,
        "card_url": model.card_url,
    }
