"""A route of the administration names the permission that it needs; without one it cannot be served."""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from parvis.core.errors import NotPermitted
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import ANYBODY, Principal

Guard = Callable[[Request], Awaitable[Principal]]
"""Who is asking? Raises NotAuthenticated."""


TargetOf = Callable[[Request], Awaitable[Target | None]]
"""Whose thing does this call touch? Read from the path alone; None when there is no such thing."""


@dataclass(frozen=True, slots=True)
class Route:
    """One verb on one path, who may use it, and what answers. `status` is that of success."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    answer: Callable[..., Awaitable[Any]]
    permission: Permission
    status: int = 200
    target: TargetOf | None = None
    """Where the permission must reach. Without one it must reach somewhere, and the answer shows what it reaches."""
    action: str = ""
    """How the record calls what this does, like `api_key.created`. Every route that changes something has one."""
    step_up: bool = False
    """Whether a person must have shown a second factor within the last minutes."""


class PermissionMissing(TypeError):
    """A route was declared that anybody could use. The program is wrong and does not start."""


class GuardedRoute(APIRoute):
    """Asks who it is before it reads a body, on the route that matched, whatever the path looked like."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()
        permission = permission_of(self)

        async def guarded(request: Request) -> Response:
            guard: Guard = request.app.state.guard
            principal = ANYBODY if ANYBODY.may_somewhere(permission) else await guard(request)
            if not principal.may_somewhere(permission):
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
