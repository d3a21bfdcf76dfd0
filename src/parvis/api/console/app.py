"""The customers' application: all of its routes, each with its permission, in one table."""

from fastapi import FastAPI

from parvis.api.console import account, models
from parvis.api.console.desk import ConsoleDesk
from parvis.api.web.door import Door
from parvis.api.web.routes import Route
from parvis.domain.identity.permission import Permission as May

__all__ = ["ROUTES", "ConsoleDesk", "make_app"]

ROUTES = (
    Route("GET", "/v1/me", account.me, May.OWN_ACCOUNT_READ),
    Route("GET", "/v1/usage", account.usage, May.OWN_USAGE_READ),
    Route("GET", "/v1/requests", account.requests, May.OWN_REQUESTS_READ),
    Route("GET", "/v1/requests/{request_id}", account.one, May.OWN_REQUESTS_READ),
    Route("GET", "/v1/models", models.all_models, May.OWN_MODELS_READ),
    Route("GET", "/v1/models/{name:path}", models.one, May.OWN_MODELS_READ),
)


def make_app(desk: ConsoleDesk) -> FastAPI:
    """The application behind the customers' listener. Raises PermissionMissing for an open route."""
    app = Door("Parvis", ROUTES, desk.guard, desk.listen_host, desk.new_request_id)
    app.state.desk = desk
    return app
