"""The operator's application: all of its routes, each with its permission, in one table."""

from typing import Any

from fastapi import FastAPI

from parvis.api.operator import (
    audit,
    books,
    customers,
    engines,
    fleet,
    health,
    invoices,
    keys,
    models,
    money,
    nodes,
    openid,
    routing,
    tiers,
    usage,
)
from parvis.api.operator.desk import OperatorDesk
from parvis.api.web.door import Door, description
from parvis.api.web.limit_forms import LIMITS
from parvis.api.web.notice_forms import NOTICES
from parvis.api.web.places import key_place, request_place
from parvis.api.web.profile import ROUTES as PROFILE
from parvis.api.web.receipts import RECEIPTS
from parvis.api.web.routes import Route
from parvis.api.web.sign_in import ROUTES as SIGN_IN
from parvis.domain.identity.permission import Permission as May

__all__ = ["ROUTES", "OperatorDesk", "describe", "make_app"]

TITLE = "Parvis operator"
ROUTES = (
    Route("GET", "/livez", health.livez, May.HEALTH_READ),
    Route("GET", "/readyz", health.readyz, May.HEALTH_READ),
    Route("GET", "/metrics", health.metrics, May.METRICS_READ),
    Route("GET", "/v1/status", health.status, May.STATUS_READ),
    Route("GET", "/v1/models", models.all_models, May.MODELS_READ),
    Route("POST", "/v1/models", models.add, May.MODELS_WRITE, 201, action="model.created"),
    Route("POST", "/v1/models/apply", models.apply_all, May.MODELS_WRITE, action="models.applied"),
    Route("GET", "/v1/models/{model_id:path}", models.one, May.MODELS_READ),
    Route("PUT", "/v1/models/{model_id:path}", models.put, May.MODELS_WRITE, action="model.updated"),
    Route("GET", "/v1/keys", keys.all_keys, May.KEYS_READ),
    Route("POST", "/v1/keys", keys.create, May.KEYS_WRITE, 201, action="api_key.created", secret_answer=True),
    Route("GET", "/v1/keys/{key_id}", keys.one, May.KEYS_READ, target=key_place),
    Route("PATCH", "/v1/keys/{key_id}", keys.change, May.KEYS_WRITE, target=key_place, action="api_key.updated"),
    Route(
        "POST",
        "/v1/keys/{key_id}/rotation",
        keys.rotate,
        May.KEYS_WRITE,
        target=key_place,
        action="api_key.rotation_changed",
    ),
    Route("DELETE", "/v1/keys/{key_id}", keys.revoke, May.KEYS_WRITE, target=key_place, action="api_key.deleted"),
    *RECEIPTS,
    *invoices.ROUTES,
    *NOTICES,
    *LIMITS,
    *tiers.ROUTES,
    Route("GET", "/v1/prices", money.all_prices, May.PRICES_READ),
    Route("POST", "/v1/prices", money.add_price_list, May.PRICES_WRITE, 201, action="price_list.created"),
    Route("GET", "/v1/usage", usage.totals, May.USAGE_READ),
    Route("GET", "/v1/usage/export", usage.usage_file, May.USAGE_READ),
    Route("GET", "/v1/requests", usage.requests, May.REQUESTS_READ),
    Route("GET", "/v1/requests/export", usage.requests_file, May.REQUESTS_READ),
    Route("GET", "/v1/requests/{request_id}", usage.one, May.REQUESTS_READ, target=request_place),
    Route("GET", "/v1/balances", money.balances, May.BALANCES_READ),
    Route("POST", "/v1/credits", money.credit, May.CREDITS_WRITE, 201, action="credit.created"),
    Route("GET", "/v1/check", money.check, May.LEDGER_CHECK),
    *books.ROUTES,
    Route("GET", "/v1/engines/counts", engines.counts, May.LEDGER_CHECK),
    *routing.ROUTES,
    Route("GET", "/v1/audit_logs", audit.entries, May.AUDIT_READ),
    *customers.ROUTES,
    *nodes.ROUTES,
    *fleet.ROUTES,
    *openid.ROUTES,
    *SIGN_IN,
    *PROFILE,
)


def make_app(desk: OperatorDesk) -> FastAPI:
    """The application behind the operator's listener. Raises PermissionMissing for an open route."""
    return Door(TITLE, ROUTES, desk)


def describe() -> dict[str, Any]:
    """The OpenAPI document of this listener."""
    return description(TITLE, ROUTES)
