"""`GET /v1/models` and `GET /v1/models/{id}`: what the caller's key may use."""

from typing import Any
from urllib.parse import unquote

import msgspec

from parvis.api.inference.desk import Desk
from parvis.api.inference.exchange import Exchange
from parvis.domain.catalog.model import LISTED, Model
from parvis.domain.catalog.ranking import ranking_method
from parvis.domain.identity.scope import Endpoint
from parvis.flows.permit import allow_endpoint, find_model, no_model
from parvis.flows.prepared import PreparedKey


async def all_models(desk: Desk, exchange: Exchange, _: str) -> None:
    """All models of the caller's, as one page."""
    shown = [model_card(model) for model in desk.house.directory.models(_admitted(desk, exchange).key)]
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
    """The model of this id or alias. Raises NotFound, or NotPermitted where the operator tells of forbidden ones."""
    prepared, name = _admitted(desk, exchange), unquote(argument)
    model = find_model(desk.house.directory, prepared, name)
    if model.state not in LISTED:
        raise no_model(name)
    exchange.answer(msgspec.json.encode(model_card(model)))


def _admitted(desk: Desk, exchange: Exchange) -> PreparedKey:
    """The caller's key. Raises NotAuthenticated; NotPermitted when it is not for this endpoint."""
    prepared = desk.house.directory.admit(exchange.call.credential, exchange.call.address)
    allow_endpoint(prepared, Endpoint.MODELS)
    return prepared


def model_card(model: Model) -> dict[str, Any]:
    """The protocol's four fields, then what the catalogue knows (never engines or machines)."""
    return {
        "id": model.id,
        "object": "model",
        "created": model.created_unix_s,
        "owned_by": model.editor or "unknown",
        "context_length": model.context_tokens,
        "capabilities": list(model.capabilities),
        "rerank": ranking_method(model.capabilities),
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
