"""HTTP/1.1 towards engines: keep-alive connections, one request at a time on each, callbacks instead of coroutines."""

import asyncio
from collections import deque
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import httptools

from parvis.core.errors import EngineUnavailable, Misconfigured

IDLE_MAX = 256
"""Connections kept open to one engine while nothing runs."""
CONNECT_S_MAX = 5.0


class Receiver(Protocol):
    """Who gets a response. Called from the loop's thread, in this order, `lost` instead of `complete` on failure."""

    def head(self, status: int) -> None: ...

    def body(self, data: bytes) -> None: ...

    def complete(self) -> None: ...

    def lost(self) -> None: ...


class UpstreamConnection(asyncio.Protocol):
    """One connection to one engine."""

    __slots__ = ("_held", "_parser", "_pool", "_receiver", "_transport", "closed", "single_use")

    def __init__(self, pool: "UpstreamPool") -> None:
        self.closed = False
        self.single_use = False
        self._held = b""
        self._pool = pool
        self._receiver: Receiver | None = None
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)

    def new_future(self) -> "asyncio.Future[Any]":
        """A future of the loop that serves this connection; asking asyncio for the loop costs a system call."""
        return self._pool.loop.create_future()

    def send(self, receiver: Receiver, data: bytes) -> None:
        """Send one request; its response goes to the receiver."""
        self._receiver = receiver
        if self._transport is not None:
            self._transport.write(data)

    def pause(self) -> None:
        if self._transport is not None and not self.closed:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self.closed:
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close now: the engine sees that nobody listens any more. The receiver hears nothing more."""
        self._receiver = None
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods, and not the base class.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail()
        if self._held:
            data, self._held = self._held, b""
            if self._receiver is not None:
                self._receiver.body(data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._fail()

    # httptools

    def on_headers_complete(self) -> None:
        if self._receiver is None:
            self._fail()
        else:
            self._receiver.head(self._parser.get_status_code())

    def on_body(self, data: bytes) -> None:
        # One read may hold many chunks: they are handed over together, and leave in one write.
        self._held = self._held + data if self._held else data

    def on_message_complete(self) -> None:
        if self._held:
            self._hand_over()
        # `should_keep_alive` is right only inside this callback.
        receiver, self._receiver = self._receiver, None
        if self._parser.should_keep_alive() and not (self.closed or self.single_use):
            self.resume()  # a slow client of this answer must not hold up the next
            self._pool.give_back(self)
        else:
            self.closed = True
            if self._transport is not None:
                self._transport.close()
        if receiver is not None:
            receiver.complete()

    def _hand_over(self) -> None:
        data, self._held = self._held, b""
        if self._receiver is not None:
            self._receiver.body(data)

    def _fail(self) -> None:
        if self._held:
            self._hand_over()
        self.closed = True
        receiver, self._receiver = self._receiver, None
        self._pool.forget(self)
        if self._transport is not None:
            self._transport.abort()
        if receiver is not None:
            receiver.lost()


class UpstreamPool:
    """The connections to one engine address."""

    def __init__(self, address: str, loop: asyncio.AbstractEventLoop) -> None:
        parts = urlsplit(address)
        if parts.scheme != "http" or not parts.hostname:
            raise Misconfigured(f"The engine address '{address}' must look like http://HOST:PORT.")
        self._authority = parts.netloc
        self._prefix = parts.path.rstrip("/").removesuffix("/v1")
        self._host = parts.hostname
        self._port = parts.port or 80
        self.loop = loop
        self._heads: dict[tuple[bytes, str], bytes] = {}
        self._idle: deque[UpstreamConnection] = deque()

    def request(self, path: bytes, api_key: str, request_id: str, body: bytes) -> bytes:
        """A POST of this JSON body, whole. Its constant head is made once."""
        head = self._heads.get((path, api_key))
        if head is None:
            authorization = f"authorization: Bearer {api_key}\r\n" if api_key else ""
            head = self._heads[path, api_key] = (
                f"POST {self._prefix}{path.decode()} HTTP/1.1\r\nhost: {self._authority}\r\n{authorization}"
                "content-type: application/json\r\n"
            ).encode()
        return b"%bx-request-id: %b\r\ncontent-length: %d\r\n\r\n%b" % (head, request_id.encode(), len(body), body)

    def idle(self) -> UpstreamConnection | None:
        """The connection that was used last and is free, if there is one."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        return None

    async def connect(self) -> UpstreamConnection:
        """A new connection. Raises EngineUnavailable."""
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                _, connection = await self.loop.create_connection(
                    lambda: UpstreamConnection(self), self._host, self._port
                )
        except (OSError, TimeoutError):
            raise EngineUnavailable("The engine does not answer. Try again shortly.", retry_after_s=2) from None
        return connection

    def give_back(self, connection: UpstreamConnection) -> None:
        if len(self._idle) < IDLE_MAX:
            self._idle.append(connection)
        else:
            connection.abort()

    def forget(self, connection: UpstreamConnection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().abort()


class Upstreams:
    """A pool for each address."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pools: dict[str, UpstreamPool] = {}

    def pool(self, address: str) -> UpstreamPool:
        pool = self._pools.get(address)
        if pool is None:
            pool = self._pools[address] = UpstreamPool(address, self._loop)
        return pool

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()
