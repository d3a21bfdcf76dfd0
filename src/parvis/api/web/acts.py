"""What a route that changes something does: a line in the record, the change, and a line that says how it ended."""

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Annotated, Any

from fastapi import Depends
from pydantic import BaseModel
from starlette.requests import Request

from parvis.api.web.routes import Route
from parvis.core.errors import Failure, ServerBug
from parvis.domain.audit.entry import Actor, Entry
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.domain.identity.principal import Principal
from parvis.flows.record import OK, Recorder

Answer = Callable[..., Awaitable[Any]]
_REQUEST = "request_of_the_act"
_log = logging.getLogger("parvis.record")


def recorded(route: Route) -> Answer:
    """What answers a route. One with an action runs only when its intent is on disk; reading its body comes before."""
    if not route.action:
        return route.answer

    @wraps(route.answer)
    async def act(**values: Any) -> Any:
        request: Request = values.pop(_REQUEST)
        intent = await _intend(route, request, values)
        request.state.acting = True
        result = ServerBug.code
        try:
            answer = await route.answer(**values)
            request.state.made = _made(answer)
            request.state.objects.update(_path_ids(request) | request.state.made)
            result = OK
        except Failure as failure:
            result = failure.code
            raise
        finally:
            await _conclude(request, intent, result)
        return answer

    act.__signature__ = _signature(route.answer)  # type: ignore[attr-defined]  # what the framework reads
    return act


def caller_of(request: Request) -> Actor:
    """Who asks, as the record names them."""
    principal: Principal = request.state.principal
    address = request.client.host if request.client else ""
    return Actor(principal.kind, principal.name, address, request.scope["parvis.request_id"])


async def _intend(route: Route, request: Request, values: Mapping[str, Any]) -> Entry:
    """Of the path only those ids are said by which the place was found: any text can stand where nothing is."""
    recorder: Recorder = request.app.state.recorder
    objects = request.state.objects
    return await recorder.intend(caller_of(request), route.action, _place(request), objects, _fields(values))


async def _conclude(request: Request, intent: Entry, result: str) -> None:
    """What was done stands, whether or not the record can say so."""
    recorder: Recorder = request.app.state.recorder
    try:
        await recorder.outcome(intent, result, _place(request), request.state.objects, request.state.details)
    except Failure as failure:
        _log.error(
            "an act has no outcome in the record",
            extra={"request_id": intent.request_id, "kind": failure.code, "reason": intent.action},
        )


def _place(request: Request) -> Target:
    """Where the thing lies; without a target, the organisation of who asks."""
    target: Target | None = request.state.target
    organisation_id = request.state.principal.organisation_id
    return target or (Target(organisation_id) if organisation_id else INSTALLATION)


def _path_ids(request: Request) -> dict[str, str]:
    return {name: str(value) for name, value in request.path_params.items()}


def _fields(values: Mapping[str, Any]) -> dict[str, str]:
    """The names of what was said in the body: those that its form declares, so that nothing of it leaks."""
    said = {name for value in values.values() if isinstance(value, BaseModel) for name in value.model_fields_set}
    return {"fields": ", ".join(sorted(said))} if said else {}


def _made(answer: object) -> dict[str, str]:
    """`{"object": "organization.project", "id": "proj_…"}` is about the `project_id` of that id."""
    match answer:
        case {"object": str(kind), "id": str(made)}:
            return {f"{kind.rpartition('.')[2]}_id": made}
    return {}


def _request(request: Request) -> Request:
    return request


def _signature(answer: Answer) -> inspect.Signature:
    """The handler's own, and the request, by a dependency: of a handler itself the framework fills one request only."""
    known = inspect.signature(answer)
    annotation = Annotated[Request, Depends(_request)]
    asked = inspect.Parameter(_REQUEST, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
    return known.replace(parameters=[*known.parameters.values(), asked])
