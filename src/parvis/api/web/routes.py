"""What a route of the administration declares. Without a permission, or an action where it changes something, none is.

    Route("DELETE", "/v1/keys/{key_id}", keys.revoke, May.KEYS_WRITE, target=key_place, action="api_key.deleted")

The handler names the type of its answer beside what it returns: `-> Annotated[Json, Key]`. A `Response` is no JSON.

What comes of it for a request is in `parvis.api.web.admission`, `acts` and `repetition`, in this order.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_origin

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from parvis.domain.identity.permission import Permission
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import Principal

TargetOf = Callable[[Request], Awaitable[Target | None]]
"""Whose thing does this call touch? Read from the path and the principal alone; None when there is no such thing."""


class PermissionMissing(TypeError):
    """A route was declared that anybody could use. The program is wrong and does not start."""


class ActionMissing(TypeError):
    """A route was declared whose effect the record could not name. The program is wrong and does not start."""


class AnswerMissing(TypeError):
    """A route was declared whose answer nobody could describe. The program is wrong and does not start."""


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
    """How the record calls what this does, like `api_key.created`. Every route that changes something has one.

    Only where people sign in the story itself writes the record: who tries is nobody until it has ended.
    """
    step_up: bool = False
    """Whether a person must have shown a second factor within the last minutes."""
    asks: bool = False
    """A POST because the question is too long for a path: it changes nothing, so the record has no line of it."""
    secret_answer: bool = False
    """Whether the answer holds a secret, so that no copy of it is kept for who asks again."""

    def __post_init__(self) -> None:
        if not isinstance(self.permission, Permission):
            raise PermissionMissing(f"{self.path} declares no permission")
        changes = self.method != "GET" and not self.asks
        if changes and not self.action and self.permission is not Permission.SIGN_IN:
            raise ActionMissing(f"{self.method} {self.path} declares no action")
        if self.shows is None and not self._is_no_json():
            raise AnswerMissing(f"{self.method} {self.path} declares no answer: let its handler return Annotated[...]")

    @property
    def returns(self) -> Any:
        """What the handler says that it returns."""
        said: Any = self.answer.__annotations__.get("return")
        return said.__origin__ if get_origin(said) is Annotated else said

    @property
    def shows(self) -> Any:
        """The type of the JSON object of a success; None when it is a page, a redirect or a text."""
        said: Any = self.answer.__annotations__.get("return")
        return said.__metadata__[0] if get_origin(said) is Annotated else None

    def _is_no_json(self) -> bool:
        return isinstance(self.returns, type) and issubclass(self.returns, Response)


def actor_of(request: Request) -> Principal:
    """Who asks."""
    principal: Principal = request.state.principal
    return principal


def target_of(request: Request) -> Target:
    """Where the thing lies that the request is about. A route that declares no target has none to ask for."""
    target: Target | None = request.state.target
    if target is None:
        raise LookupError(f"{request.scope['route'].path} declares no target")
    return target


def lies_in(request: Request, target: Target) -> None:
    """Say where the thing turned out to lie that the path does not name: there the record's outcome stands."""
    request.state.target = target


def details_of(request: Request) -> dict[str, str]:
    """What the record will say of this act besides: short public texts, never a secret."""
    details: dict[str, str] = request.state.details
    return details


def objects_of(request: Request) -> dict[str, str]:
    """Ids of what the act turned out to be about, by their names, like `{"key_id": ...}`."""
    objects: dict[str, str] = request.state.objects
    return objects


TheActor = Annotated[Principal, Depends(actor_of)]
TheTarget = Annotated[Target, Depends(target_of)]
TheDetails = Annotated[dict[str, str], Depends(details_of)]
TheObjects = Annotated[dict[str, str], Depends(objects_of)]
