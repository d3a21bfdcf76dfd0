"""The customers' application: all of its routes, each with its permission, in one table."""

from typing import Any

from fastapi import FastAPI

from parvis.api.console import account, estimates, forecasts, keys, models, openid
from parvis.api.console.administration import ROUTES as ADMINISTRATION
from parvis.api.console.desk import ConsoleDesk
from parvis.api.console.organization.routes import ROUTES as ORGANIZATION
from parvis.api.web.door import Door, description
from parvis.api.web.invoices import INVOICES
from parvis.api.web.limit_forms import LIMITS
from parvis.api.web.notice_forms import NOTICES
from parvis.api.web.places import own_tenant
from parvis.api.web.profile import ROUTES as PROFILE
from parvis.api.web.receipts import RECEIPTS
from parvis.api.web.routes import Route
from parvis.api.web.sign_in import ROUTES as SIGN_IN
from parvis.domain.identity.permission import Permission as May

__all__ = ["ROUTES", "ConsoleDesk", "describe", "make_app"]

TITLE = "Parvis"
ROUTES = (
    Route("GET", "/v1/me", account.me, May.OWN_ACCOUNT_READ, target=own_tenant),
    Route("GET", "/v1/usage", account.usage, May.OWN_USAGE_READ, target=own_tenant),
    Route("GET", "/v1/usage/export", account.usage_file, May.OWN_USAGE_READ, target=own_tenant),
    Route("GET", "/v1/requests", account.requests, May.OWN_REQUESTS_READ, target=own_tenant),
    Route("GET", "/v1/requests/export", account.requests_file, May.OWN_REQUESTS_READ, target=own_tenant),
    Route("GET", "/v1/requests/{request_id}", account.one, May.OWN_REQUESTS_READ, target=own_tenant),
    Route("GET", "/v1/keys/sync", keys.state, May.KEY_SYNC, target=own_tenant),
    Route(
        "POST",
        "/v1/keys/sync",
        keys.sync,
        May.KEY_SYNC,
        target=own_tenant,
        action="api_key.synced",
        secret_answer=True,
    ),
    Route("POST", "/v1/keys/report", keys.report, May.KEY_REPORT, 202, action="api_key.reported"),
    *RECEIPTS,
    *INVOICES,
    *NOTICES,
    *LIMITS,
    *forecasts.ROUTES,
    Route("POST", "/v1/estimate", estimates.make, May.ESTIMATES_READ, asks=True),
    Route("GET", "/v1/models", models.all_models, May.OWN_MODELS_READ, target=own_tenant),
    Route("GET", "/v1/models/{name:path}", models.one, May.OWN_MODELS_READ, target=own_tenant),
    *openid.ROUTES,
    *ADMINISTRATION,
    *ORGANIZATION,
    *SIGN_IN,
    *PROFILE,
)


def make_app(desk: ConsoleDesk) -> FastAPI:
    """The application behind the customers' listener. Raises PermissionMissing for an open route."""
    return Door(TITLE, ROUTES, desk)


def describe() -> dict[str, Any]:
    """The OpenAPI document of this listener."""
    return description(TITLE, ROUTES)
