"""HTTP/1.1 towards engines: keep-alive connections, one request at a time on each, callbacks instead of coroutines."""

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import httptools

from parvis.adapters.engines.tls import engine_context, why
from parvis.adapters.engines.unreachable import sentence
from parvis.core.errors import EngineUnavailable, Misconfigured
from parvis.domain.fleet.replica import Replica, TlsFiles
from parvis.flows.ports import EngineHungUp
from parvis.wire.chunked import one_chunk

IDLE_MAX = 256
"""Connections kept open to one engine while nothing runs."""
CONNECT_S_MAX = 5.0
"""For the handshake of TLS too."""
TLS_SHUTDOWN_S_MAX = 2.0
TLS_TOLD_S = 60.0
"""The same trouble with TLS is logged so often, however many requests meet it."""
_PORTS = {"http": 80, "https": 443}
_log = logging.getLogger("parvis.engines")


class Unheard(EngineHungUp):
    """The connection ended before any byte of a response: it may have been closed before the request was read."""


class Stalled(EngineUnavailable):
    """An answer that had begun did not go on, so that we stopped waiting for it."""


class Receiver(Protocol):
    """Who gets a response. Called from the loop's thread, in this order, `lost` instead of `complete` on failure."""

    @property
    def came(self) -> int:
        """Grows while an answer that the caller has the beginning of goes on; negative before its beginning."""

    def head(self, status: int) -> None: ...

    def body(self, data: bytes) -> None: ...

    def complete(self) -> None: ...

    def lost(self, failure: EngineUnavailable) -> None: ...


class WithHeaders:
    """What a parser calls where headers are wanted: elsewhere it is spared telling them."""

    def __init__(self, connection: "UpstreamConnection", on_header: Callable[[bytes, bytes], None]) -> None:
        self.on_header = on_header
        self.on_headers_complete = connection.on_headers_complete
        self.on_chunk_header = connection.on_chunk_header
        self.on_chunk_complete = connection.on_chunk_complete
        self.on_body = connection.on_body
        self.on_message_complete = connection.on_message_complete


class UpstreamConnection:
    """One connection to one engine. An `asyncio.Protocol` but for its base class, which would not be compiled."""

    __slots__ = (
        "_between_chunks",
        "_chunk_ended",
        "_heard",
        "_held",
        "_parser",
        "_pool",
        "_transport",
        "closed",
        "paused",
        "receiver",
        "single_use",
    )

    def __init__(self, pool: "UpstreamPool") -> None:
        self.closed = False
        self.paused = False
        """Nobody reads now, because the client of the answer is slow."""
        self.single_use = False
        self._heard = False
        self._between_chunks = self._chunk_ended = False
        self._held = b""
        self._pool = pool
        self.receiver: Receiver | None = None
        """Who waits for a response, if anybody does."""
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)

    def new_future(self) -> "asyncio.Future[Any]":
        """A future of the loop that serves this connection; asking asyncio for the loop costs a system call."""
        return self._pool.loop.create_future()

    def send(self, receiver: Receiver, data: bytes) -> None:
        """Send one request; its response goes to the receiver."""
        self.receiver = receiver
        self._heard = False
        if self._transport is not None:
            self._transport.write(data)

    def hear_headers(self, on_header: Callable[[bytes, bytes], None]) -> None:
        """Tell the headers of the response too, of which nothing has come yet. It is the last one here."""
        self.single_use = True
        self._parser = httptools.HttpResponseParser(WithHeaders(self, on_header))

    def pause(self) -> None:
        if self._transport is not None and not self.closed:
            self.paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self.closed:
            self.paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close now: the engine sees that nobody listens any more. The receiver hears nothing more."""
        self.receiver = None
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def give_up(self, failure: EngineUnavailable) -> None:
        """Close now, and let the receiver know why."""
        receiver = self.receiver
        self.abort()
        if receiver is not None:
            receiver.lost(failure)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods, and not the base class.
        self._transport = cast("asyncio.Transport", transport)
        self._pool.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._between_chunks and (chunk := one_chunk(data)):
            # The parser need not see it: it stands between two chunks before and after.
            if self.receiver is not None:
                self.receiver.body(chunk)
            return
        self._heard = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail()
        self._between_chunks = self._chunk_ended and data.endswith(b"\r\n")
        if self._held:
            data, self._held = self._held, b""
            if self.receiver is not None:
                self.receiver.body(data)

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        """Nothing to do: a request is written whole, and its answer is waited for."""

    def resume_writing(self) -> None:
        """Nothing to do."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.connections.discard(self)
        self._fail(exc)

    # httptools

    def on_headers_complete(self) -> None:
        if self.receiver is None:
            self._fail()
        else:
            self.receiver.head(self._parser.get_status_code())

    def on_chunk_header(self) -> None:
        self._chunk_ended = False

    def on_chunk_complete(self) -> None:
        self._chunk_ended = True

    def on_body(self, data: bytes) -> None:
        # One read may hold many chunks: they are handed over together, and leave in one write.
        self._held = self._held + data if self._held else data

    def on_message_complete(self) -> None:
        self._chunk_ended = False
        if self._held:
            self._hand_over()
        # `should_keep_alive` is right only inside this callback.
        receiver, self.receiver = self.receiver, None
        if self._parser.should_keep_alive() and not (self.closed or self.single_use):
            if self.paused:
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
        if self.receiver is not None:
            self.receiver.body(data)

    def _fail(self, cause: Exception | None = None) -> None:
        if self._held:
            self._hand_over()
        self.closed = True
        receiver, self.receiver = self.receiver, None
        self._pool.forget(self)
        if self._transport is not None:
            self._transport.abort()
        if receiver is not None:
            kind = EngineHungUp if self._heard else Unheard
            failure = kind("The engine stopped before it answered. Try again.", retry_after_s=1)
            failure.__cause__ = cause
            receiver.lost(failure)


class UpstreamPool:
    """The connections to one replica."""

    def __init__(self, replica: Replica, loop: asyncio.AbstractEventLoop) -> None:
        parts = urlsplit(replica.address)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise Misconfigured(
                f"The engine address '{replica.address}' must look like http://HOST:PORT or https://HOST:PORT."
            )
        self._authority = parts.netloc
        self._prefix = parts.path.rstrip("/").removesuffix("/v1")
        self._host = parts.hostname
        self._port = parts.port or _PORTS[parts.scheme]
        self.replica = replica
        self._files = (replica.tls or TlsFiles()) if parts.scheme == "https" else None
        self._context: ssl.SSLContext | None = None
        self._reading = asyncio.Lock()
        self._complaint = ("", 0.0)
        self.loop = loop
        self._heads: dict[tuple[bytes, str], bytes] = {}
        self.connections: set[UpstreamConnection] = set()
        """All that are open, those that serve somebody included."""
        self._idle: deque[UpstreamConnection] = deque()
        self._idle_max = IDLE_MAX

    def leads_to(self, replica: Replica) -> bool:
        """Whether these connections are right for this replica too."""
        return (self.replica.address, self.replica.tls) == (replica.address, replica.tls)

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

    def post(
        self, path: bytes, api_key: str, request_id: str, body: bytes, content_type: bytes, headers: bytes = b""
    ) -> bytes:
        """A POST of another kind of body; `headers` are whole lines."""
        authorization = f"authorization: Bearer {api_key}\r\n" if api_key else ""
        head = f"POST {self._prefix}{path.decode()} HTTP/1.1\r\nhost: {self._authority}\r\n{authorization}".encode()
        said = b"content-type: %b\r\nx-request-id: %b\r\n%b" % (content_type, request_id.encode(), headers)
        return b"%b%bcontent-length: %d\r\n\r\n%b" % (head, said, len(body), body)

    def question(self, path: bytes, api_key: str) -> bytes:
        """A GET of this page, whole."""
        authorization = f"authorization: Bearer {api_key}\r\n" if api_key else ""
        head = f"GET {self._prefix}{path.decode()} HTTP/1.1\r\nhost: {self._authority}\r\n{authorization}\r\n"
        return head.encode()

    def idle(self) -> UpstreamConnection | None:
        """The connection that was used last and is free, if there is one."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        return None

    async def connect(self) -> UpstreamConnection:
        """A new connection. Raises EngineUnavailable; trouble with TLS is in the log, never in the answer."""
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                tls = await self._tls()
                connection = UpstreamConnection(self)
                await self.loop.create_connection(
                    lambda: cast("asyncio.Protocol", connection),
                    self._host,
                    self._port,
                    ssl=tls,
                    ssl_shutdown_timeout=TLS_SHUTDOWN_S_MAX if tls else None,
                )
        except (OSError, UnicodeError, Misconfigured) as problem:
            self._complain(problem)
            failure = EngineUnavailable("The engine does not answer. Try again shortly.", retry_after_s=2)
            failure.reason = sentence(problem)
            raise failure from None
        return connection

    async def _tls(self) -> ssl.SSLContext | None:
        """What new connections speak. Raises Misconfigured."""
        if self._files is None:
            return None
        async with self._reading:
            if self._context is None:
                self._context = await self.loop.run_in_executor(None, engine_context, self._files)
        return self._context

    async def renew(self) -> None:
        """Read the TLS files anew, for connections to come. Files that cannot be used change nothing but the log."""
        if self._files is None or self._context is None:
            return
        try:
            self._context = await self.loop.run_in_executor(None, engine_context, self._files)
        except Misconfigured as problem:
            self._complain(problem)

    def hung_up(self, failure: Unheard) -> None:
        """A fresh connection has ended without a word.

        In TLS 1.3 a client learns only after its handshake that its certificate is missing or refused; some servers
        close without saying so.
        """
        self._complain(failure.__cause__ or ConnectionError("closed without a word: does it demand a tls_cert?"))

    def _complain(self, problem: BaseException) -> None:
        """Log what is wrong with the TLS of this engine, the same thing once a minute."""
        if self._files is None:
            return
        reason, now = why(problem), self.loop.time()
        told, told_s = self._complaint
        if reason != told or now > told_s + TLS_TOLD_S:
            self._complaint = (reason, now)
            _log.warning("no TLS connection to an engine", extra={"replica": self.replica.replica_id, "reason": reason})

    def give_back(self, connection: UpstreamConnection) -> None:
        if len(self._idle) < self._idle_max:
            self._idle.append(connection)
        else:
            connection.abort()

    def forget(self, connection: UpstreamConnection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """End what is idle now, and the others when they have done."""
        self._idle_max = 0
        while self._idle:
            self._idle.pop().abort()


class Upstreams:
    """A pool for each replica."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pools: dict[str, UpstreamPool] = {}
        self._left: list[UpstreamPool] = []

    @property
    def pools(self) -> list[UpstreamPool]:
        """Of all replicas, and what is still open to where they were before."""
        self._left = [pool for pool in self._left if pool.connections]
        return [*self._pools.values(), *self._left]

    def keep(self, replica_ids: Collection[str]) -> None:
        """No others are used any more: what is idle there is closed now, the rest when it has done."""
        for replica_id in self._pools.keys() - replica_ids:
            pool = self._pools.pop(replica_id)
            pool.close()
            self._left.append(pool)

    def pool(self, replica: Replica) -> UpstreamPool:
        pool = self._pools.get(replica.replica_id)
        if pool is None or pool.replica is not replica:
            return self._pool_of_news(pool, replica)
        return pool

    def _pool_of_news(self, pool: UpstreamPool | None, replica: Replica) -> UpstreamPool:
        """Control tells of all replicas with every change: most are the same again, one may have moved."""
        if pool is not None and pool.leads_to(replica):
            pool.replica = replica
            return pool
        if pool is not None:
            pool.close()
            self._left.append(pool)
        pool = self._pools[replica.replica_id] = UpstreamPool(replica, self._loop)
        return pool

    async def renew(self) -> None:
        """Read all TLS files anew, for connections to come."""
        for pool in list(self._pools.values()):
            await pool.renew()

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()
