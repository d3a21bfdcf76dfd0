"""Every way by which somebody's text comes into the service: each takes one text and carries it in.

    async with Visitor(running) as visitor:
        for way in ways(MODELS, EMBEDDING_MODEL):
            await way.carry(visitor, text)

What comes of it (an answer, a refusal, a cut) does not matter here: whoever uses this looks at what is left behind.
Beside the bodies, whose places are found in the wire's types, there are headers, targets, credentials, broken JSON and
HTTP, engines that repeat and quote what they were asked, and every route of the administration.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from types import TracebackType
from typing import Any, Protocol, Self

import httpx

from parvis.api.console.app import ROUTES as CONSOLE_ROUTES
from parvis.api.operator.app import ROUTES as OPERATOR_ROUTES
from parvis.core.secret import Secret
from parvis.domain.identity.key_text import ID_CHARS, SECRET_CHARS, write_key
from parvis.testing.caller import Caller, chat
from parvis.testing.raw_http import request, said
from parvis.testing.service import Service
from parvis.testing.wire_places import FORMS, Place, places

Json = dict[str, Any]
Carry = Callable[["Visitor", str], Awaitable[object]]

CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
ADMIN_S_MAX = 60
MISHAPS = (
    *("@echo", "@echo @reason=4", "@echo @split=7", "@echo @cut_after=1", "@echo @cut_bytes=300", "@echo @no_usage"),
    *("@echo @wrong_usage=99999999", "@echo @no_done", "@drop", "@reset @cut_bytes=200 @echo", "@error_event @quote"),
    *("@garbage @quote", "@garbage @quote @split=50"),
    *(f"@status={status} @quote" for status in (400, 401, 403, 404, 413, 422, 429, 500, 502, 503)),
)
"""What the fake engine may do with a text: say it again, in an answer or in an error, and break in the middle."""
HEADERS = (
    *("Cookie", "User-Agent", "Referer", "Origin", "X-Request-Id", "X-Forwarded-For", "Idempotency-Key", "traceparent"),
    *("OpenAI-Organization", "X-Stainless-Lang", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Expect"),
    *("Content-Length", "Accept", "Proxy-Authorization", "X-Api-Key", "Api-Key", "Upgrade", "Connection"),
)
TARGETS = ("/{}", "/v1/{}", "/v1/models/{}", "/v1/models?api_key={}", "/v1/chat/completions?x={}", "http://{}/", "{}")


class AdminRoute(Protocol):
    """What is looked at of a route of the administration."""

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str: ...


@dataclass(frozen=True)
class Way:
    """One way in. `carry(visitor, text)` raises nothing for what the service does."""

    name: str
    carry: Carry


class Visitor:
    """Carries texts in, with the service's own key and token where the way does not bring others."""

    def __init__(self, running: Service) -> None:
        self.port, self.key = running.port, running.api_key
        self.caller = Caller(running.port, running.api_key)
        self._token = (running.home / "operator.token").read_text().strip()
        self._addresses = {
            name: f"http://{running.environ[f'PARVIS_{name.upper()}__LISTEN']}" for name in ("console", "operator")
        }
        self._http = httpx.AsyncClient(timeout=ADMIN_S_MAX, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.caller.__aexit__(kind, error, at)
        await self._http.aclose()

    async def raw(self, data: bytes) -> None:
        """These bytes on a connection of their own, until the service closes it."""
        await asyncio.to_thread(said, self.port, data)

    async def admin(self, listener: str, method: str, path: str, **more: Any) -> None:
        """One request to the console or the operator's API; `credential` is ours unless it is given."""
        ours = self.key if listener == "console" else self._token
        headers = {"authorization": f"Bearer {more.pop('credential', ours)}", **more.pop("headers", {})}
        await self._http.request(method, self._addresses[listener] + path, headers=headers, **more)


def ways(models: tuple[str, ...], embedding_model: str, sound_model: str) -> list[Way]:
    """All of them. The models are served by fake engines; the first one can do everything."""
    return [
        *(_body(place) for place in places(models[0], embedding_model, sound_model)),
        *_mishaps(models, embedding_model),
        *_departures(models[0]),
        *_heads(models[0]),
        *_broken(models[0]),
        *_credentials(),
        *_administration("operator", OPERATOR_ROUTES),
        *_administration("console", CONSOLE_ROUTES),
    ]


def _asking(name: str, path: str, body: Callable[[str], Json], leave_in_s: float | None = None) -> Way:
    """A proper request with this body."""

    async def carry(visitor: Visitor, text: str) -> None:
        await visitor.caller.ask(path, body(text), leave_in_s=leave_in_s, form=path in FORMS)

    return Way(name, carry)


def _sending(name: str, data: Callable[[str, str], bytes]) -> Way:
    """The bytes made of a text and our key. The service closes the connection after its answer."""

    async def carry(visitor: Visitor, text: str) -> None:
        await visitor.raw(data(text, visitor.key))

    return Way(name, carry)


def _administering(name: str, listener: str, method: str, path: str, more: Callable[[str], Json]) -> Way:
    """A request to the console or the operator's API; a `{}` in its path is the text."""

    async def carry(visitor: Visitor, text: str) -> None:
        await visitor.admin(listener, method, path.replace("{}", text), **more(text))

    return Way(f"{listener} {method} {path} {name}", carry)


# ---------------------------------------------------------------------------------------------------- inference


def _body(place: Place) -> Way:
    return _asking(f"body {place}", place.route, place.holding)


def _mishaps(models: tuple[str, ...], embedding_model: str) -> Iterator[Way]:
    """Prompts whose engine says them again, by each kind of engine."""
    for model, orders, stream in product(models, MISHAPS, (False, True)):
        yield _mishap(model, orders, stream=stream)
    for orders in MISHAPS:
        yield _repeated(COMPLETIONS, models[0], "prompt", orders)
    for orders in ("@status=400 @quote", "@garbage @quote", "@status=500 @quote"):
        yield _repeated(EMBEDDINGS, embedding_model, "input", orders)
    yield _asking("schema that comes back", CHAT, lambda text: chat("@json", model=models[0], **_schema(text)))
    yield _asking("arguments of a call", CHAT, lambda text: chat("@tool", model=models[0], **_tool(text)))
    yield _asking("picture", CHAT, lambda text: {"model": models[0], "messages": [_picture(text)]})


def _mishap(model: str, orders: str, *, stream: bool, leave_in_s: float | None = None) -> Way:
    name = f"{model} {orders} {'streamed' if stream else 'whole'}"
    return _asking(name, CHAT, lambda text: chat(f"{text} {orders}", model=model, stream=stream), leave_in_s)


def _repeated(path: str, model: str, field: str, orders: str) -> Way:
    return _asking(f"{path} {orders}", path, lambda text: {"model": model, field: f"{text} {orders}"})


def _schema(text: str) -> Json:
    schema = {"type": "object", "properties": {"x": {"const": text}}}
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}


def _tool(text: str) -> Json:
    parameters = {"type": "object", "properties": {"x": {"const": text}}}
    return {"tools": [{"type": "function", "function": {"name": "x", "parameters": parameters}}]}


def _picture(text: str) -> Json:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text}"}}
    return {"role": "user", "content": [picture]}


def _departures(model: str) -> Iterator[Way]:
    """Clients who leave before the end."""
    for orders, stream in (("@hang", True), ("@hang", False), ("@echo @gap_ms=50", True), ("@prefill_ms=900", True)):
        yield _mishap(model, orders, stream=stream, leave_in_s=0.1)


# ------------------------------------------------------------------------------------------------------- as HTTP


def _heads(model: str) -> Iterator[Way]:
    """Headers and targets, right and wrong."""
    body = json.dumps(chat("Hello", model=model, stream=False)).encode()
    yield from (_with_header(name, body) for name in HEADERS)
    yield from (_with_target(target) for target in TARGETS)
    yield _sending("header's name", lambda text, key: _get("/v1/models", f"{text}: x", key=key))
    yield _sending("Host", lambda text, key: _get("/v1/models", key=key, host=text))
    yield _sending("method", lambda text, _: f"{text} / HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    yield _sending("no HTTP", lambda text, _: f"{text}\r\n\r\n".encode())
    yield _sending("bare line feed", lambda text, _: f"GET /{text} HTTP/1.1\nHost: {text}\n\n".encode())
    yield _sending("a second request", lambda text, key: request(key=key) + f"{text}\r\n\r\n".encode())


def _with_header(name: str, body: bytes) -> Way:
    return _sending(f"header {name}", lambda text, key: _post(body, key, f"{name}: {text}"))


def _with_target(target: str) -> Way:
    return _sending(f"target {target}", lambda text, key: _get(target.format(text), key=key))


def _broken(model: str) -> Iterator[Way]:
    """Bodies that are no JSON, or not the JSON that they seem to be."""
    whole = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "%s"}}]'
    yield _with_body("cut JSON", whole)
    yield _with_body("rest behind JSON", whole + "} %s")
    yield _with_body("twice the same key", whole + ', "messages": "%s"}')
    yield _with_body("wrong escape", whole.replace("%s", "%s\\q") + "}")
    yield _with_body("no JSON", "%s")
    yield _with_body("a list", '["%s"]')
    yield _with_body("deep", "[" * 5000 + '"%s"')
    yield _with_body("no value", '{"model": %s}')
    yield _sending("no UTF-8", lambda text, key: _post(b'{"model": "' + text.encode() + b'\xff\xfe"}', key))
    yield _sending("UTF-16", lambda text, key: _post(f'{{"model": "{text}"}}'.encode("utf-16"), key))
    yield _sending("longer than its length", lambda text, key: _post(b"{}", key) + text.encode())
    yield _sending("too large", lambda text, key: _post(text.encode() * 200_000, key))


def _with_body(name: str, form: str) -> Way:
    return _sending(name, lambda text, key: _post(form.replace("%s", text).encode(), key))


def _get(path: str, *headers: str, key: str = "", host: str = "localhost") -> bytes:
    return request("GET", path, "Connection: close", *headers, key=key, host=host)


def _post(body: bytes, key: str, *headers: str) -> bytes:
    return request("POST", CHAT, "Connection: close", *headers, body=body, key=key)


def _credentials() -> Iterator[Way]:
    """Keys that are wrong in each way, at each listener."""
    for name, key_of in WRONG_KEYS.items():
        yield _with_key(name, key_of)
        for listener in ("console", "operator"):
            yield _with_credential(listener, name, key_of)
    yield _sending("user and password", lambda text, _: _get("/v1/models", f"Authorization: Basic {text}"))
    yield _sending("two keys", lambda text, key: _get("/v1/models", f"Authorization: Bearer {text}", key=key))


def _with_key(name: str, key_of: Callable[[str], str]) -> Way:
    return _sending(name, lambda text, _: _get("/v1/models", key=key_of(text)))


def _with_credential(listener: str, name: str, key_of: Callable[[str], str]) -> Way:
    return _administering(name, listener, "GET", "/v1/models", lambda text: {"credential": key_of(text)})


def _secret(text: str) -> Secret:
    return Secret((text * 2)[:SECRET_CHARS])


WRONG_KEYS: dict[str, Callable[[str], str]] = {
    "unknown key": lambda text: write_key(text[:ID_CHARS], _secret(text)).reveal(),
    "wrong checksum": lambda text: f"sk-parvis_{text[:ID_CHARS]}_{_secret(text).reveal()}_00000000",
    "shortened key": lambda text: f"sk-parvis_{text}",
    "key of elsewhere": lambda text: f"sk-proj-{text}{text}",
    "any text": lambda text: text,
}

# ------------------------------------------------------------------------------------------------ administration


def _administration(listener: str, routes: Iterable[AdminRoute]) -> Iterator[Way]:
    """Every route with bodies that are refused (what is taken is stored by design), with queries and headers."""
    for route in routes:
        path = route.path.partition("{")[0] + ("{}" if "{" in route.path else "")
        forms = _QUERIES if route.method == "GET" else _FORMS
        for name, more in forms.items():
            yield _administering(name, listener, route.method, path, more)
    yield _administering("Host", listener, "GET", "/v1/models", lambda text: {"headers": {"host": text}})
    yield _administering(
        "Origin", listener, "GET", "/v1/models", lambda text: {"headers": {"origin": f"http://{text}"}}
    )
    yield _administering("unknown route", listener, "GET", "/v1/{}", lambda _: {})
    yield _administering("unknown verb", listener, "PATCH", "/v1/models", lambda text: {"content": text.encode()})


_QUERIES: dict[str, Callable[[str], Json]] = {
    "alone": lambda _: {},
    "unknown query": lambda text: {"params": {"x": text}},
    "known query": lambda text: {"params": {"after": text, "since": text, "limit": text}},
}
_FORMS: dict[str, Callable[[str], Json]] = {
    "unknown field": lambda text: {"json": {"x": text, text: 1}},
    "wrong types": lambda text: {"json": {"name": [text], "models": text, "input_microeuro_per_mtoken": text}},
    "no JSON": lambda text: {"content": f'{{"name": "{text}"'.encode()},
}
