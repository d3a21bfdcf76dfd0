"""Every refusal of the administration, in the protocol's shape: `{"error": {message, type, param, code}}`."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from parvis.api.statuses import headers_of, status_of
from parvis.api.web.languages import ENGLISH, FRENCH, in_french, preferred
from parvis.core.errors import BadRequest, Failure, MethodNotAllowed, NotFound, ServerBug, TooLarge
from parvis.wire.problem import problem_json

_CODES = {
    "missing": "missing_required_parameter",
    "extra_forbidden": "unknown_parameter",
    "json_invalid": "invalid_json",
}
_PLACES = ("body", "query", "path")


def problem(failure: Failure, asked: Headers) -> Response:
    """The HTTP answer of a failure, in the language that the request's headers ask for."""
    status, kind = status_of(failure)
    french = in_french(str(failure)) if preferred(asked.get("accept-language", "")) == FRENCH else None
    body = problem_json(french or str(failure), kind, failure.code, failure.param)
    headers = {name.decode(): value.decode() for name, value in headers_of(failure)}
    headers |= {"content-language": FRENCH if french else ENGLISH, "vary": "Accept-Language"}
    return Response(body, status, headers, media_type="application/json")


async def on_failure(request: Request, failure: Exception) -> Response:
    """A story said no."""
    said = failure if isinstance(failure, Failure) else ServerBug("Something broke on our side.")
    return problem(said, request.headers)


async def on_invalid(request: Request, error: Exception) -> Response:
    """A body or a query has not the form that its route declares."""
    problems = error.errors() if isinstance(error, RequestValidationError) else ()
    return problem(_invalid(problems), request.headers)


async def on_http(request: Request, error: Exception) -> Response:
    """The framework found no route for it, or could not read it."""
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
    return problem(_http_failure(request, status), request.headers)


async def on_bug(request: Request, _: Exception) -> Response:
    """Nobody foresaw this. Its text stays here: it may hold what the caller sent."""
    request_id = request.scope["parvis.request_id"]
    bug = ServerBug(f"Something broke on our side. Quote {request_id} to your operator.")
    return problem(bug, request.headers)


def _http_failure(request: Request, status: int) -> Failure:
    where = f"{request.method} {request.url.path[:200]}"
    if status == HTTPStatus.NOT_FOUND:
        return NotFound(f"Unknown route: {where}.", code="unknown_route")
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        verbs = ", ".join(_verbs(request))
        return MethodNotAllowed(f"{request.url.path[:200]} takes {verbs}.", allow=verbs)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return TooLarge("The body is too large for this route.")
    return BadRequest("The request cannot be read. Send JSON in UTF-8.")


def _verbs(request: Request) -> list[str]:
    """All verbs of the path: the framework knows those of the first route only."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    matched = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in matched for method in route.methods or ()})


def _invalid(problems: Sequence[Any]) -> BadRequest:
    """The first problem, as a sentence about a parameter."""
    if not problems:
        return BadRequest("The request has not the form that its route declares.")
    first = problems[0]
    param = ".".join(str(step) for step in first["loc"] if step not in _PLACES)[:200] or None
    code = _CODES.get(first["type"], "invalid_value")
    if code == "invalid_json":
        return BadRequest("The body is not valid JSON. Send one JSON object in UTF-8.", code=code)
    if code == "missing_required_parameter":
        return BadRequest(f"Missing required parameter: '{param or 'body'}'.", code=code, param=param)
    if code == "unknown_parameter":
        return BadRequest(f"Unrecognized parameter: '{param}'. Remove it.", code=code, param=param)
    return BadRequest(f"Invalid value for '{param or 'body'}': {first['msg']}.", code=code, param=param)
