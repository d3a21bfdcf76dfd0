"""The front door of both administration listeners: what a request passes on its way in and out."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from parvis.api.web.description import description_of
from parvis.api.web.desk import FrontDesk
from parvis.api.web.guarded import GuardedRoute, permission_of
from parvis.api.web.hosts import check_host
from parvis.api.web.problems import on_bug, on_failure, on_http, on_invalid, problem
from parvis.api.web.routes import Route
from parvis.core.errors import Failure
from parvis.domain.identity.permission import Permission
from parvis.flows.record import Recorder

BODY_BYTES_MAX = 1 << 20
NOTHING_LOADED = "default-src 'none'; frame-ancestors 'none'"
"""What a browser may load for an answer that says nothing else: nothing. Answers are data."""
ONE_YEAR = "max-age=31536000"
"""For so long a browser that was here over TLS comes back over TLS only."""


class Door(FastAPI):
    """An application whose every answer has a request id, and whose every route has a permission.

    Raises PermissionMissing for an open route.
    """

    def __init__(self, title: str, routes: Sequence[Route], desk: FrontDesk) -> None:
        # The framework can send what it sees to a collector that the environment names. Nothing leaves here.
        silent: TelemetryConfig = {
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        }
        super().__init__(
            title=title, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, telemetry=silent
        )
        self.state.desk = desk
        self.state.recorder = Recorder(desk.store, desk.clock, desk.randomness)
        self._desk = desk
        for route in (*routes, DESCRIPTION):
            self.router.routes.append(GuardedRoute(route))
        for served in self.routes:
            permission_of(served)
        self.add_exception_handler(Failure, on_failure)
        self.add_exception_handler(RequestValidationError, on_invalid)
        self.add_exception_handler(HTTPException, on_http)
        self.add_exception_handler(Exception, on_bug)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        request_id = self._desk.new_request_id()
        scope["parvis.request_id"] = request_id
        labelled = _labelled(send, request_id, secure=self._desk.site.secure)
        headers = Headers(scope=scope)
        try:
            check_host(headers.getlist("host"), headers.getlist("origin"), self._desk.site)
        except Failure as failure:
            await problem(failure, headers)(scope, receive, labelled)
            return
        await super().__call__(scope, _bounded(receive), labelled)

    def openapi(self) -> dict[str, Any]:
        """This listener's own description, made once."""
        if self.openapi_schema is None:
            guarded = [served for served in self.routes if isinstance(served, GuardedRoute)]
            self.openapi_schema = description_of(self.title, guarded)
        return self.openapi_schema


async def openapi(request: Request) -> Annotated[dict[str, Any], dict[str, Any]]:
    """This listener's own description."""
    description: dict[str, Any] = request.app.openapi()
    return description


DESCRIPTION = Route("GET", "/openapi.json", openapi, Permission.OPENAPI_READ)
"""What every listener has besides its own routes."""


def description(title: str, routes: Sequence[Route]) -> dict[str, Any]:
    """What a listener of these routes says of itself, for those who have no desk to open one at."""
    return description_of(title, [GuardedRoute(route) for route in (*routes, DESCRIPTION)])


def _labelled(send: Send, request_id: str, *, secure: bool) -> Send:
    """What every answer says besides: none is kept, framed, guessed at or told to other sites."""

    async def labelled(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = request_id
            headers["cache-control"] = "no-store"
            headers["x-content-type-options"] = "nosniff"
            headers["x-frame-options"] = "DENY"
            headers["referrer-policy"] = "same-origin"
            headers["cross-origin-resource-policy"] = "same-origin"
            headers.setdefault("content-security-policy", NOTHING_LOADED)
            if secure:
                headers["strict-transport-security"] = ONE_YEAR
        await send(message)

    return labelled


def _bounded(receive: Receive) -> Receive:
    """A body that grows beyond the bound ends in 413, wherever it is read."""
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > BODY_BYTES_MAX:
            raise HTTPException(413)
        return message

    return bounded
