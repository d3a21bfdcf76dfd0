"""A route of the administration names the permission that it needs; without one it cannot be served."""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from parvis.core.errors import NotPermitted
from parvis.domain.identity.permission import ANYBODY, Permission, Principal

Guard = Callable[[Request], Awaitable[Principal]]
"""Who is asking? Raises NotAuthenticated."""


@dataclass(frozen=True, slots=True)
class Route:
    """One verb on one path, who may use it, and what answers. `status` is that of success."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    answer: Callable[..., Awaitable[Any]]
    permission: Permission
    status: int = 200


class PermissionMissing(TypeError):
    """A route was declared that anybody could use. The program is wrong and does not start."""


class GuardedRoute(APIRoute):
    """Asks who it is before it reads a body, on the route that matched, whatever the path looked like."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()
        permission = permission_of(self)

        async def guarded(request: Request) -> Response:
            guard: Guard = request.app.state.guard
            principal = ANYBODY if permission in ANYBODY.permissions else await guard(request)
            if permission not in principal.permissions:
                raise NotPermitted(f"This needs the permission '{permission}', which your credential has not.")
            request.state.principal = principal
            return await answer(request)

        return guarded


def permission_of(route: object) -> Permission:
    """What a route of an application demands. Raises PermissionMissing."""
    extra = (route.openapi_extra or {}) if isinstance(route, GuardedRoute) else {}
    permission = extra.get("x-permission")
    if not isinstance(permission, Permission):
        raise PermissionMissing(f"{getattr(route, 'path', route)} declares no permission")
    return permission
