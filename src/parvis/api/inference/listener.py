"""All connections of one listening socket: who joined, what runs, which deadlines have passed, how it drains."""

import asyncio
import logging
import ssl
import traceback
from collections.abc import Callable
from socket import SO_SNDBUF, SOL_SOCKET, socket

from parvis.api.inference.connection import Connection, Handler
from parvis.api.inference.exchange import Exchange
from parvis.api.inference.limits import ListenerLimits
from parvis.core.errors import Failure
from parvis.core.ids import RandomPool, new_id

SWEEP_S = 1.0
ACCEPT_BACKLOG = 4096
TLS_HANDSHAKE_S_MAX = 5.0
TLS_SHUTDOWN_S_MAX = 2.0
_log = logging.getLogger("parvis.inference")


class ServerBug(Failure):
    """Something that nobody foresaw. Details are in the log, under the request id."""

    code = "internal_error"


class Listener:
    """Runs the handler once for each request, one task each."""

    def __init__(
        self,
        handler: Handler,
        limits: ListenerLimits,
        loop: asyncio.AbstractEventLoop,
        unix_ms: Callable[[], int],
        refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.limits = limits
        self._handler = handler
        self._loop = loop
        self._unix_ms = unix_ms
        self._refused = refused
        self._randomness = RandomPool()
        self._connections: set[Connection] = set()
        self._running: dict[Connection, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None
        self._draining = False
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, sock: socket, tls: ssl.SSLContext | None = None) -> None:
        """Accept on a socket that the supervisor owns."""
        # Connections inherit it. Left to itself the kernel hoards megabytes for each client that reads slowly, and
        # tells for a long time of no progress when there is some.
        sock.setsockopt(SOL_SOCKET, SO_SNDBUF, self.limits.write_buffer_bytes_max)
        self._server = await self._loop.create_server(
            lambda: Connection(self),
            sock=sock,
            ssl=tls,
            backlog=ACCEPT_BACKLOG,
            ssl_handshake_timeout=TLS_HANDSHAKE_S_MAX if tls else None,
            ssl_shutdown_timeout=TLS_SHUTDOWN_S_MAX if tls else None,
        )
        self._sweep()

    async def drain(self, limit_s: float) -> None:
        """Stop accepting, let requests finish within the limit, close idle connections, then close the rest."""
        self._draining = True
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            if not connection.busy:
                connection.close()
        if self._running:
            await asyncio.wait(self._running.values(), timeout=limit_s)
        for connection in list(self._connections):
            connection.close()
        if self._running:
            await asyncio.wait(self._running.values(), timeout=limit_s)
        if self._sweeper is not None:
            self._sweeper.cancel()

    @property
    def connections(self) -> int:
        return len(self._connections)

    # What connections ask and tell.

    def now(self) -> float:
        return self._loop.time()

    def is_draining(self) -> bool:
        return self._draining

    def new_request_id(self) -> str:
        return new_id("req", self._unix_ms(), self._randomness)

    def joined(self, connection: Connection) -> None:
        self._connections.add(connection)
        if len(self._connections) > self.limits.connections_max:
            connection.close()

    def parted(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def begin(self, connection: Connection, exchange: Exchange) -> None:
        self._running[connection] = self._loop.create_task(self._run(connection, exchange))

    async def _run(self, connection: Connection, exchange: Exchange) -> None:
        try:
            if exchange.call.refusal is not None:
                raise exchange.call.refusal  # noqa: TRY301 - answered like every other refusal
            await self._handler(exchange)
        except Failure as failure:
            self._refused(failure.code)
            exchange.fail(failure)
        except Exception as bug:  # noqa: BLE001 - the one net, told in the log and to the caller
            self._bug(exchange, bug)
        finally:
            del self._running[connection]
            connection.answered()

    def _bug(self, exchange: Exchange, bug: Exception) -> None:
        """The net of this listener: 500, and the log is told where it happened, never what was in it."""
        places = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(bug.__traceback__)]
        request_id = exchange.call.request_id
        told = {"request_id": request_id, "kind": type(bug).__name__, "places": places[-4:]}
        _log.error("bug while answering", extra=told)
        exchange.call.keep_alive = False
        exchange.fail(ServerBug(f"Something broke on our side. Quote {request_id} to your operator."))

    def _sweep(self) -> None:
        now = self.now()
        for connection in [c for c in self._connections if c.deadline_s < now]:
            connection.expire()
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)
