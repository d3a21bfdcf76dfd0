"""The routes of the inference listener. What a route needs hangs on the matched `Route`, never on a path string."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from parvis.api.inference import audio, models
from parvis.api.inference.chat import chat
from parvis.api.inference.completions import completions
from parvis.api.inference.desk import Desk
from parvis.api.inference.embeddings import embeddings
from parvis.api.inference.exchange import Exchange
from parvis.api.inference.rerank import rerank_v1, rerank_v2
from parvis.core.errors import BadRequest, MethodNotAllowed, NotFound

Answerer = Callable[[Desk, Exchange, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Route:
    """One path and verb. `rest` tells that what follows the path is an argument."""

    path: str
    method: str
    answer: Answerer
    rest: bool = False


ROUTES = (
    Route("/v1/chat/completions", "POST", chat),
    Route("/v1/completions", "POST", completions),
    Route("/v1/embeddings", "POST", embeddings),
    Route("/v1/rerank", "POST", rerank_v1),
    Route("/v2/rerank", "POST", rerank_v2),
    Route("/v1/audio/transcriptions", "POST", audio.transcriptions),
    Route("/v1/audio/translations", "POST", audio.translations),
    Route("/v1/audio/speech", "POST", audio.speech),
    Route("/v1/models", "GET", models.all_models),
    Route("/v1/models/", "GET", models.one_model, rest=True),
)
_EXACT = {route.path: route for route in ROUTES if not route.rest}
_REST = tuple(route for route in ROUTES if route.rest)
_PREFLIGHT = (
    (b"access-control-allow-methods", b"GET, HEAD, POST, OPTIONS"),
    (b"access-control-allow-headers", b"authorization, content-type, *"),
    (b"access-control-max-age", b"600"),
)


async def dispatch(desk: Desk, exchange: Exchange) -> None:
    """Find the route and let it answer."""
    call = exchange.call
    route, argument = match(call.path)
    if route is None:
        raise NotFound(f"Unknown route: {call.method} {call.path[:200]}.", code="unknown_route")
    if call.method == "OPTIONS":
        exchange.answer(b"", 204, (*_PREFLIGHT, (b"allow", _verbs(route).encode())))
        return
    if call.method != route.method and not (call.method == "HEAD" and route.method == "GET"):
        raise MethodNotAllowed(f"{call.path} takes {_verbs(route)}.", allow=_verbs(route))
    if call.content_encoding not in (b"", b"identity"):
        raise BadRequest("Compressed bodies are not taken. Send the JSON as it is.", code="unsupported_encoding")
    await route.answer(desk, exchange, argument)


def match(path: str) -> tuple[Route | None, str]:
    """The route of a path and its argument. A trailing slash does not matter."""
    route = _EXACT.get(path) or _EXACT.get(path.rstrip("/"))
    if route is not None:
        return route, ""
    for candidate in _REST:
        if path.startswith(candidate.path):
            return candidate, path[len(candidate.path) :].rstrip("/")
    return None, ""


def _verbs(route: Route) -> str:
    return f"{route.method}, HEAD, OPTIONS" if route.method == "GET" else f"{route.method}, OPTIONS"
