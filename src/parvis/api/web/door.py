"""The front door of both administration listeners: what a request passes on its way in and out."""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from parvis.api.web.description import corrected
from parvis.api.web.hosts import check_host
from parvis.api.web.problems import on_bug, on_failure, on_http, on_invalid, problem
from parvis.api.web.routes import Guard, GuardedRoute, Route, permission_of
from parvis.core.errors import Failure
from parvis.domain.identity.permission import Permission

BODY_BYTES_MAX = 1 << 20


class Door(FastAPI):
    """An application whose every answer has a request id, and whose every route has a permission.

    `listen_host` is the address that the listener was given. Raises PermissionMissing for an open route.
    """

    def __init__(
        self,
        title: str,
        routes: Sequence[Route],
        guard: Guard,
        listen_host: str,
        new_request_id: Callable[[], str],
    ) -> None:
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
        self.state.guard = guard
        self._listen_host = listen_host
        self._new_request_id = new_request_id
        self.router.route_class = GuardedRoute
        for route in (*routes, Route("GET", "/openapi.json", openapi, Permission.OPENAPI_READ)):
            self._declare(route)
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
        request_id = self._new_request_id()
        scope["parvis.request_id"] = request_id
        labelled = _labelled(send, request_id)
        headers = Headers(scope=scope)
        try:
            check_host(headers.getlist("host"), headers.getlist("origin"), self._listen_host)
        except Failure as failure:
            await problem(failure)(scope, receive, labelled)
            return
        await super().__call__(scope, _bounded(receive), labelled)

    def openapi(self) -> dict[str, Any]:
        """This listener's own description, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = corrected(super().openapi())
        return self.openapi_schema

    def _declare(self, route: Route) -> None:
        answer = route.answer.__annotations__.get("return")
        self.add_api_route(
            route.path,
            route.answer,
            methods=[route.method],
            status_code=route.status,
            response_model=None,
            response_class=answer if isinstance(answer, type) and issubclass(answer, Response) else JSONResponse,
            openapi_extra={"x-permission": route.permission},
        )


async def openapi(request: Request) -> dict[str, Any]:
    """This listener's own description."""
    description: dict[str, Any] = request.app.openapi()
    return description


def _labelled(send: Send, request_id: str) -> Send:
    async def labelled(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = request_id
            headers["cache-control"] = "no-store"
            headers["x-content-type-options"] = "nosniff"
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
