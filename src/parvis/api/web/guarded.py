"""A declared route as the framework serves it."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from parvis.api.web.acts import recorded
from parvis.api.web.admission import admit
from parvis.api.web.repetition import once
from parvis.api.web.routes import PermissionMissing, Route
from parvis.domain.identity.permission import Permission


class GuardedRoute(APIRoute):
    """Asks who it is before it reads a body, on the route that matched, whatever the path looked like."""

    def __init__(self, declared: Route) -> None:
        self.declared = declared
        answer = declared.returns
        super().__init__(
            declared.path,
            recorded(declared),
            methods=[declared.method],
            status_code=declared.status,
            response_model=None,
            response_class=answer if isinstance(answer, type) and issubclass(answer, Response) else JSONResponse,
            openapi_extra=described(declared),
        )

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            await admit(self.declared, request)
            return await once(self.declared, request, answer)

        return guarded


def described(declared: Route) -> dict[str, str | bool]:
    """What a description says of a route that the framework does not know."""
    said: dict[str, str | bool] = {"x-permission": declared.permission, "x-step-up": declared.step_up}
    return said | ({"x-action": declared.action} if declared.action else {})


def permission_of(route: object) -> Permission:
    """What a route of an application demands. Raises PermissionMissing."""
    if not isinstance(route, GuardedRoute):
        raise PermissionMissing(f"{getattr(route, 'path', route)} declares no permission")
    return route.declared.permission
