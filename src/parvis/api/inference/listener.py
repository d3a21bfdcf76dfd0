"""All connections of one listening socket: who joined, what runs, which deadlines have passed, how it drains."""

import asyncio
import logging
import ssl
import traceback
from collections.abc import Callable
from socket import socket
from typing import Protocol

from parvis.api.inference.accepting import Acceptor
from parvis.api.inference.call import Call
from parvis.api.inference.connection import Connection, Handler
from parvis.api.inference.exchange import Exchange
from parvis.api.inference.limits import ListenerLimits
from parvis.api.inference.places import Place, Places
from parvis.api.inference.tls_session import Handshakes, TlsSession
from parvis.core.errors import Failure, ServerBug
from parvis.core.ids import RandomPool, new_id

SWEEP_S = 1.0
EXPIRED_AT_ONCE_MAX = 8
EXPIRE_AGAIN_S = 0.002
"""After that many, so that a thousand which end together do not keep others waiting."""
CUT_S_MAX = 5.0
"""For answers that are cut short: their stories settle, and their clients are told."""
FLUSH_S_MAX = 1.0
"""For the last bytes to leave."""
LOOK_S = 0.02
_log = logging.getLogger("parvis.inference")


class Guest(Protocol):
    """Who has a place: a connection, or a TLS session that has no connection yet."""

    place: Place | None
    deadline_s: float

    def expire(self) -> None: ...

    def retire(self) -> None: ...

    def cut_short(self) -> None: ...

    def abort(self) -> None: ...


class Listener:
    """Runs the handler once for each request, one task each."""

    def __init__(
        self,
        handler: Handler,
        limits: ListenerLimits,
        loop: asyncio.AbstractEventLoop,
        unix_ms: Callable[[], int],
        refused: Callable[[Failure, Call], None] = lambda _, __: None,
    ) -> None:
        self.limits = limits
        self.handshakes = Handshakes(loop.call_soon)
        self._handler = handler
        self._loop = loop
        self._unix_ms = unix_ms
        self._refused = refused
        self._randomness = RandomPool()
        self._places = Places(limits)
        self._acceptor = Acceptor(loop, self._places, self._greet)
        self._tls: ssl.SSLContext | None = None
        self._guests: set[Guest] = set()
        self._late: list[Guest] = []
        self._running: dict[Connection, asyncio.Task[None]] = {}
        self._kept_bytes = 0
        self._draining = False
        self._patient = False
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, sock: socket, tls: ssl.SSLContext | None = None) -> None:
        """Accept on a socket that the supervisor owns."""
        self._tls = tls
        self._acceptor.open(sock)
        self._sweep()

    def renew(self, tls: ssl.SSLContext | None, limits: ListenerLimits) -> None:
        """Another certificate and other bounds, for those who come from now on. Who is inside keeps what they had."""
        self._tls = tls
        self.limits = limits
        self._places.renew(limits)

    async def drain(self, limit_s: float, *, patient: bool = False) -> None:
        """Accept no more, and return when everybody has gone, within about `limit_s`.

        Answers under way may finish; each says that its connection ends. Idle connections are closed now, or, when
        we are patient because a successor accepts on the same socket already, answered once more. At the limit
        answers are cut short: an error event, no `[DONE]`, and what was delivered is settled.
        """
        self._draining, self._patient = True, patient
        self._acceptor.close()
        limit_at_s = self.now() + limit_s
        if patient:
            await self._until(lambda: not self._guests, limit_at_s)
        for guest in list(self._guests):
            guest.retire()
        await self._until(lambda: not self._running, limit_at_s)
        for guest in list(self._guests):
            guest.cut_short()
        await self._until(lambda: not self._running, self.now() + CUT_S_MAX)
        await self._until(lambda: not self._guests, self.now() + FLUSH_S_MAX)
        for guest in list(self._guests):
            guest.abort()
        if self._running:
            await asyncio.wait(self._running.values(), timeout=CUT_S_MAX)
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _until(self, true: Callable[[], bool], limit_at_s: float) -> None:
        while not true() and self.now() < limit_at_s:  # noqa: ASYNC110 - at an end only; nothing is set on the way
            await asyncio.sleep(LOOK_S)

    @property
    def connections(self) -> int:
        return self._places.taken

    # What connections ask and tell.

    def now(self) -> float:
        return self._loop.time()

    def is_draining(self) -> bool:
        return self._draining

    def new_request_id(self) -> str:
        return new_id("req", self._unix_ms(), self._randomness)

    def new_connection(self, place: Place) -> Connection:
        return Connection(self, place)

    def joined(self, guest: Guest) -> None:
        self._guests.add(guest)
        if self._draining and not self._patient:
            guest.retire()

    def parted(self, guest: Guest) -> None:
        """Gone, or handed over its place to another guest."""
        self._guests.discard(guest)
        if guest.place is not None:
            self._places.give_back(guest.place)

    def keep(self, change_bytes: int) -> bool:
        """So much more is kept of requests that nobody answers yet; whether it is not too much in all."""
        self._kept_bytes += change_bytes
        return self._kept_bytes <= self.limits.bodies_bytes_max

    def begin(self, connection: Connection, exchange: Exchange) -> None:
        name = exchange.call.request_id  # asyncio would make one up
        self._running[connection] = self._loop.create_task(self._run(connection, exchange), name=name)

    def _greet(self, place: Place) -> asyncio.Protocol:
        return Connection(self, place) if self._tls is None else TlsSession(self, self._tls, place)

    async def _run(self, connection: Connection, exchange: Exchange) -> None:
        try:
            if exchange.call.refusal is None:
                await self._handler(exchange)
            else:
                self._refuse(exchange, exchange.call.refusal)
        except Failure as failure:
            self._refuse(exchange, failure)
        except Exception as bug:  # noqa: BLE001 - the one net, told in the log and to the caller
            self._bug(exchange, bug)
        finally:
            del self._running[connection]
            exchange.ended()
            connection.answered()

    def _refuse(self, exchange: Exchange, failure: Failure) -> None:
        self._refused(failure, exchange.call)
        exchange.fail(failure)

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
        self._late = [guest for guest in self._guests if guest.deadline_s < now]
        self._expire_some()

    def _expire_some(self) -> None:
        for guest in self._late[-EXPIRED_AT_ONCE_MAX:]:
            if guest in self._guests:  # it may have left meanwhile
                guest.expire()
        del self._late[-EXPIRED_AT_ONCE_MAX:]
        if self._late:
            self._sweeper = self._loop.call_later(EXPIRE_AGAIN_S, self._expire_some)
        else:
            self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)
