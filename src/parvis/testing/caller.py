"""A client that remembers what it really received: the oracle of tests that cut, kill and leave.

    async with Caller(running.port, running.api_key) as caller:
        seen = await caller.ask("/v1/chat/completions", body)
        assert seen.answered and seen.tokens == 8

It stands on bare sockets, so that it costs little beside what it measures and sees every byte as it came. It retries
nothing.
"""

import asyncio
import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

import httptools
import msgspec

Json = dict[str, Any]
GOOD = 200
BOUNDARY = "parvis-parts-end-here"
SOUND = '{"ms": 100, "text": "Hello"}'
"""What the fake engine takes for a file of sound."""
DEAF_BUFFER_BYTES = 16 << 10
"""What the kernel takes for a caller who reads nothing: otherwise megabytes."""
HALF_CLOSED_S = 3.0
"""How long a caller who said that it sends no more stays connected, reading nothing."""


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[Json] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)
    text: str | None = None
    index: int = 0


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []


_chunk = msgspec.json.Decoder(_Chunk).decode


@dataclass(slots=True, kw_only=True)
class Seen:
    """What came back of one request."""

    body: Json
    """What was asked."""
    stream: bool
    request_id: str = ""
    """Of the response's head; empty when not even that came."""
    status: int = 0
    received: bytearray = field(default_factory=bytearray)
    """The body, without HTTP's framing."""
    whole: bool = False
    """The response ended as HTTP says that it should."""
    done: bool = False
    """`[DONE]` was received."""
    tokens: int = 0
    """Of a stream: events that carry output, each one token unless the engine bundles them."""
    first_at_s: float | None = None
    """Of a stream: when the first of them came (`time.monotonic`)."""
    texts: dict[int, str] = field(default_factory=dict)
    """Of a stream: the output of each choice so far, reasoning and arguments of calls included."""
    replayed: bool = False
    """It was the answer of an earlier request under the same `Idempotency-Key`."""
    left_at_s: float | None = None
    """When we closed the connection (`time.monotonic`), if we did."""

    @property
    def answered(self) -> bool:
        """The whole answer was received: a stream's final marker, or the whole body."""
        return self.status == GOOD and (self.done if self.stream else self.whole)

    def json(self) -> Json:
        """The body of a whole answer, or of an error."""
        decoded: Json = msgspec.json.decode(self.received)
        return decoded

    def take(self, event: bytes) -> None:
        """Note one whole event."""
        payload = event.removeprefix(b"data: ")
        if payload == b"[DONE]":
            self.done = True
            return
        for choice in _chunk(payload).choices:
            text = (choice.delta.content or "") + (choice.delta.reasoning_content or "") + (choice.text or "")
            text += "".join(call.get("function", {}).get("arguments", "") for call in choice.delta.tool_calls or ())
            if text:
                self.first_at_s = self.first_at_s or time.monotonic()
                self.tokens += 1
                self.texts[choice.index] = self.texts.get(choice.index, "") + text


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a caller leaves who does not wait for the end."""

    by: Literal["close", "reset", "half"] = "close"
    """Closing as a program that ends does; a TCP reset; a FIN (under TLS without its alert) while nothing is read."""
    deaf_s: float = 0.0
    """Having received enough, read nothing for so long, and leave only then."""
    upload_bytes: int | None = None
    """Send no more of the request than this."""


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.open = False
        self.half_closed: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._seen: Seen | None = None
        self._end: asyncio.Future[None] | None = None
        self._leave_after: int | None = None
        self._manner = Manner()
        self._deaf = False
        self._read = 0
        self._keep_alive = False

    async def ask(self, request: bytes, seen: Seen, leave_after: int | None, manner: Manner) -> bool:
        """Send, and return when it is over. True when the connection can be used again."""
        if not self.open:
            return False
        self._seen, self._leave_after, self._manner, self._read = seen, leave_after, manner, 0
        self._end = asyncio.get_running_loop().create_future()
        self._transport.write(request[: manner.upload_bytes])
        try:
            await self._end
        finally:
            self._seen = None
        return self._keep_alive and not self._transport.is_closing()

    def leave(self) -> None:
        """Leave now in the manner that was asked for, whatever is still on its way."""
        if not self.open:
            return
        seen, self._seen = self._seen, None  # what comes from now on was not received
        if seen is not None:
            seen.left_at_s = time.monotonic()
        self.open = False
        peer: socket.socket = self._transport.get_extra_info("socket")
        if self._manner.by == "half" and not self._transport.is_closing():
            self._transport.pause_reading()
            with suppress(OSError):  # it was closed by the service just now
                peer.shutdown(socket.SHUT_WR)
            self.half_closed = asyncio.get_running_loop().call_later(HALF_CLOSED_S, self._transport.abort)
        else:
            if self._manner.by == "reset":
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        self._over()

    def close(self) -> None:
        """Nobody needs it any more."""
        self.open = False
        if self.half_closed is not None:
            self.half_closed.cancel()
        self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.open = True

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.open = False
        self._over()

    # httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._seen is not None and name == b"x-request-id":
            self._seen.request_id = value.decode()
        elif self._seen is not None and name == b"idempotent-replayed":
            self._seen.replayed = True

    def on_headers_complete(self) -> None:
        if self._seen is not None:
            self._seen.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        seen = self._seen
        if seen is None or self._deaf:
            return
        seen.received += data
        if seen.stream and seen.status == GOOD:
            self._take_events(seen)

    def on_message_complete(self) -> None:
        self._keep_alive = self._parser.should_keep_alive()
        if self._seen is not None:
            self._seen.whole = True
        self._over()

    def _take_events(self, seen: Seen) -> None:
        while (end := seen.received.find(b"\n\n", self._read)) >= 0:
            event = bytes(seen.received[self._read : end])
            self._read = end + 2
            seen.take(event)
            if self._leave_after is not None and seen.tokens >= self._leave_after:
                self._enough()
                return

    def _enough(self) -> None:
        """Leave, or be deaf for a while before."""
        self._deaf = True
        if self._manner.deaf_s:
            peer: socket.socket = self._transport.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DEAF_BUFFER_BYTES)
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(self._manner.deaf_s, self.leave)
        else:
            self.leave()

    def _over(self) -> None:
        if self._end is not None and not self._end.done():
            self._end.set_result(None)


class Caller:
    """Asks one service by one key. Connections are kept and used again."""

    def __init__(self, port: int, api_key: str, tls: ssl.SSLContext | None = None) -> None:
        self._port = port
        self._tls = tls
        self._head = f"host: 127.0.0.1:{port}\r\nauthorization: Bearer {api_key}\r\n"
        self._idle: deque[_Connection] = deque()
        self._half_closed: list[_Connection] = []
        self.opened = 0
        """Connections so far."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        for connection in (*self._idle, *self._half_closed):
            connection.close()

    async def ask(
        self,
        path: str,
        body: Json,
        *,
        headers: Mapping[str, str] | None = None,
        leave_after: int | None = None,
        leave_in_s: float | None = None,
        manner: Manner | None = None,
        form: bool = False,
    ) -> Seen:
        """Ask, and wait for the end. Never raises for what the service does: what came is in `Seen`.

        Leave (close the connection) after so many output events, or after so many seconds. A `form` has a file among
        its parts.
        """
        seen = Seen(body=body, stream=bool(body.get("stream")))
        try:
            connection = await self._connection()
        except OSError:
            return seen
        alarm = None
        if leave_in_s is not None:
            alarm = asyncio.get_running_loop().call_later(leave_in_s, connection.leave)
        reusable = False
        try:
            request = self._request(path, *(_form(body) if form else _json(body)), headers or {})
            reusable = await connection.ask(request, seen, leave_after, manner or Manner())
        finally:
            if alarm is not None:
                alarm.cancel()
            if reusable:
                self._idle.append(connection)
            elif connection.half_closed:
                self._half_closed.append(connection)
            else:
                connection.close()
        return seen

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                return connection
        self.opened += 1
        _, connection = await asyncio.get_running_loop().create_connection(
            _Connection, "127.0.0.1", self._port, ssl=self._tls
        )
        return connection

    def _request(self, path: str, kind: str, data: bytes, headers: Mapping[str, str]) -> bytes:
        more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        told = f"content-type: {kind}\r\ncontent-length: {len(data)}\r\n{more}"
        return f"POST {path} HTTP/1.1\r\n{self._head}{told}\r\n".encode() + data


def _json(body: Json) -> tuple[str, bytes]:
    return "application/json", msgspec.json.encode(body)


def _form(body: Json) -> tuple[str, bytes]:
    """`multipart/form-data` of texts. A list is a part each; the part `file` is a file of this name."""
    said = [
        (name, value) for name, values in body.items() for value in (values if isinstance(values, list) else [values])
    ]
    parts = "".join(f"--{BOUNDARY}\r\n{_disposition(name, str(value))}" for name, value in said)
    return f"multipart/form-data; boundary={BOUNDARY}", f"{parts}--{BOUNDARY}--\r\n".encode(errors="surrogatepass")


def _disposition(name: str, value: str) -> str:
    named, content = (f'; filename="{_quoted(value)}"', SOUND) if name == "file" else ("", value)
    return f'content-disposition: form-data; name="{_quoted(name)}"{named}\r\n\r\n{content}\r\n'


def _quoted(text: str) -> str:
    """As browsers do (the HTML standard on multipart/form-data)."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def chat(content: str, *, stream: bool = True, model: str = "fake-8b", **more: Any) -> Json:
    """A chat request of one user message, in which commands for the fake engine may stand."""
    return {"model": model, "messages": [{"role": "user", "content": content}], "stream": stream, **more}
