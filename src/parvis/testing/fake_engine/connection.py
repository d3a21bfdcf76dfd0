"""HTTP/1.1 of the fake engine: one connection a peer, one task while the peer has requests.

A peer that leaves cancels that task at once.
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple, cast

import httptools

_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_LINGER_0_S = struct.pack("ii", 1, 0)


class CutError(Exception):
    """The answer ends here, on order: the connection is to be closed."""


class Request(NamedTuple):
    """One request, read to its end."""

    method: str
    path: str
    """Without the query."""
    headers: dict[str, str]
    body: bytes
    keep_alive: bool


class Connection(asyncio.Protocol):
    """A peer's connection. `serve` is called for one request at a time, and answers or cuts it."""

    def __init__(self, serve: Callable[[Request, "Connection"], Awaitable[None]], idle_s_max: float) -> None:
        self._serve = serve
        self._idle_s_max = idle_s_max
        self._waiting: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's class is no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.write(_BAD_REQUEST)
            self._transport.close()

    def eof_received(self) -> None:
        """A peer that closes its side has left; waiting for the rest to be flushed would hide when."""
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._waiting.clear()
        if self._task:
            self._task.cancel()
        if self._idle:
            self._idle.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # What the parser calls

    def on_message_begin(self) -> None:
        self._url, self._headers, self._body = b"", dict[str, str](), list[bytes]()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode("ascii")
        path = self._url.partition(b"?")[0].decode("latin-1")
        # httptools answers this question rightly here and nowhere else.
        keep_alive = self._parser.should_keep_alive()
        self._waiting.append(Request(method, path, self._headers, b"".join(self._body), keep_alive))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        if self._idle:
            self._idle.cancel()
        while self._waiting:
            request = self._waiting.popleft()
            answered = False
            try:
                await self._serve(request, self)
                answered = True
            finally:
                if not answered:
                    self._transport.abort()
            if not request.keep_alive:
                self._transport.close()
            if self._transport.is_closing():
                return
        self._task = None
        if self._idle_s_max:
            self._idle = asyncio.get_running_loop().call_later(self._idle_s_max, self._transport.close)

    # What an answer calls

    async def send(self, data: bytes) -> None:
        """Hand `data` to the connection; return when the peer has room for more."""
        self._transport.write(data)
        if not self._writable.is_set():
            await self._writable.wait()

    async def cut(self, *, reset: bool) -> None:
        """Close, what was sent included. `reset` tells the peer so rudely."""
        if reset:
            # A reset throws away what is not sent: no room means that we are told when all of it is.
            self._transport.set_write_buffer_limits(high=0)
            await self._writable.wait()
            peer = self._transport.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0_S)
        self._transport.close()
