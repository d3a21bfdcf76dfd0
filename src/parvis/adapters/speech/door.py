"""The process's HTTP door: an ASGI application with OpenAI's audio protocol."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Protocol

import msgspec

from parvis.adapters.speech.refused import Json, Refused
from parvis.core.errors import Failure

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = dict[bytes, bytes]
Posts = Mapping[str, Callable[[str, Headers, Receive, Send], Awaitable[None]]]
"""By path."""
JSON = b"application/json"
METRICS = b"text/plain; version=0.0.4"
_READ_AWAY = 4
"""So many times what is let in: who sends too much is listened to, or the refusal would be lost with the connection."""


class Gone(Exception):
    """Nobody listens any more."""


class Room(Protocol):
    """What a door leads to."""

    posts: Posts

    def entry(self) -> Json:
        """What `/v1/models` tells beside its id."""
        ...

    def metrics(self) -> dict[str, int]:
        """Gauges by name."""
        ...


class Door:
    """The application."""

    def __init__(self, room: Room, *, model: str, api_key: str) -> None:
        self._room = room
        self._model = model
        self._key = b"Bearer " + api_key.encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        if scope["type"] != "http":
            return
        try:
            await self._answer(scope, receive, send)
        except Failure as failure:
            await say_refused(send, Refused(str(failure), failure.code, param=failure.param))
        except Refused as refused:
            await say_refused(send, refused)
        except Gone:
            return

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        path, headers = scope["path"], dict(scope["headers"])
        if scope["method"] == "GET" and path in ("/health", "/v1/models", "/metrics"):
            await say(send, *self._page(path))
        elif not hmac.compare_digest(headers.get(b"authorization", b""), self._key):
            raise Refused("This key is not the engine's.", "invalid_api_key", status=HTTPStatus.UNAUTHORIZED)
        elif scope["method"] == "POST" and (post := self._room.posts.get(path)):
            await post(path, headers, receive, send)
        else:
            raise Refused("There is no such page.", "not_found", status=HTTPStatus.NOT_FOUND)

    def _page(self, path: str) -> tuple[bytes, bytes]:
        if path == "/health":
            return JSON, b'{"status":"ok"}'
        if path == "/metrics":
            gauges = self._room.metrics().items()
            return METRICS, "".join(f"# TYPE {name} gauge\n{name} {value}\n" for name, value in gauges).encode()
        entry = {"id": self._model, "object": "model", "owned_by": "local", **self._room.entry()}
        return JSON, msgspec.json.encode({"object": "list", "data": [entry]})


@asynccontextmanager
async def while_here(receive: Receive) -> AsyncIterator[None]:
    """Leave the block when the caller leaves. Raises Gone."""
    here = asyncio.current_task()
    leaving = asyncio.create_task(_left(receive))
    leaving.add_done_callback(lambda done: None if done.cancelled() or here is None else here.cancel())
    try:
        yield
    except asyncio.CancelledError:
        if leaving.done() and not leaving.cancelled():
            raise Gone from None
        raise
    finally:
        leaving.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def read_body(receive: Receive, bytes_max: int) -> bytes:
    """All of it. Raises Refused, Gone."""
    body, came_bytes, more = bytearray(), 0, True
    while more and came_bytes <= _READ_AWAY * bytes_max:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        piece, more = message.get("body", b""), message.get("more_body", False)
        came_bytes += len(piece)
        if came_bytes <= bytes_max:
            body += piece
    if came_bytes <= bytes_max:
        return bytes(body)
    raise Refused(
        f"The file is larger than {bytes_max} bytes: compress it, or send it in pieces.",
        "request_too_large",
        param="file",
        status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    )


def ms_allowed(headers: Headers, ms_max: int) -> int:
    """The shorter of ours and the caller's bound on the length of the sound. Raises Refused."""
    told = headers.get(b"x-audio-ms-max")
    if told is None:
        return ms_max
    if not told.isdigit():
        raise Refused("x-audio-ms-max must be a number of milliseconds.", param="x-audio-ms-max")
    return min(int(told), ms_max)


async def begin(send: Send, media_type: bytes, *more: tuple[bytes, bytes], status: int = HTTPStatus.OK) -> None:
    """Status and headers."""
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", media_type), *more]})


async def more(send: Send, data: bytes) -> None:
    """A part of the body."""
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def end(send: Send) -> None:
    """The body is whole."""
    await send({"type": "http.response.body", "body": b""})


async def say(send: Send, media_type: bytes, body: bytes, *extra: tuple[bytes, bytes]) -> None:
    """A whole answer."""
    await begin(send, media_type, (b"content-length", b"%d" % len(body)), *extra)
    await send({"type": "http.response.body", "body": body})


async def say_refused(send: Send, refused: Refused) -> None:
    """No, in OpenAI's shape."""
    body = refused.body()
    headers = [(b"content-length", b"%d" % len(body))]
    if refused.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append((b"retry-after", b"1"))
    if refused.status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.REQUEST_ENTITY_TOO_LARGE):
        headers.append((b"connection", b"close"))  # its body was not read
    await begin(send, JSON, *headers, status=refused.status)
    await send({"type": "http.response.body", "body": body})
