"""An inference listener in a thread of its own, with bounds so small that a test can wait for them.

with listening(hello) as running:
    [answer] = responses(said(running.port, request()))
"""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TypeVar

import uvloop

from parvis.api.inference.connection import Handler
from parvis.api.inference.exchange import Exchange
from parvis.api.inference.limits import ListenerLimits
from parvis.api.inference.listener import Listener
from parvis.testing.service import wait_until

SMALL = ListenerLimits(
    body_bytes_max=1000,
    handshake_s_max=0.3,
    head_s_max=0.3,
    body_s_max=0.3,
    idle_s_max=0.3,
    stall_s_max=0.3,
    linger_s_max=0.3,
)
LASTING = replace(SMALL, handshake_s_max=60, head_s_max=60, body_s_max=60, idle_s_max=60, stall_s_max=60)
DRAIN_S = 5.0
JOIN_S_MAX = 30.0
T = TypeVar("T")


class RunningListener:
    """A listener that runs. What it is asked for from outside is done in its own thread."""

    def __init__(self, handler: Handler, limits: ListenerLimits, tls: ssl.SSLContext | None = None) -> None:
        self.loop: asyncio.AbstractEventLoop
        self.listener: Listener
        self.refused: list[str] = []
        self.sock = socket.create_server(("127.0.0.1", 0))
        """Ours, as it is the supervisor's in real life: it outlives the listener."""
        self.port: int = self.sock.getsockname()[1]
        self._ready = threading.Event()
        self._stop: asyncio.Event
        self._how = (DRAIN_S, False)
        self._thread = threading.Thread(target=lambda: uvloop.run(self._run(handler, limits, tls)))
        self._thread.start()
        self._ready.wait(JOIN_S_MAX)

    def call(self, function: Callable[[], T]) -> T:
        """Do it in the listener's thread; give what comes of it."""

        async def done() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(done(), self.loop).result(JOIN_S_MAX)

    def drain(self, limit_s: float = DRAIN_S, *, patient: bool = False) -> None:
        """Begin to end."""
        self._how = (limit_s, patient)
        with suppress(RuntimeError):  # it may have ended already
            self.loop.call_soon_threadsafe(self._stop.set)

    def ended(self, within_s: float = JOIN_S_MAX) -> bool:
        """Whether it has drained."""
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def becomes(self, connections: int, within_s: float = JOIN_S_MAX) -> None:
        """Wait until there are so many connections. Raises AssertionError."""
        wait_until(lambda: self.listener.connections == connections, f"there are {connections}", within_s)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=JOIN_S_MAX)

    async def _run(self, handler: Handler, limits: ListenerLimits, tls: ssl.SSLContext | None) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.listener = Listener(
            handler,
            limits,
            self.loop,
            lambda: time.time_ns() // 1_000_000,
            lambda failure, _: self.refused.append(failure.code),
        )
        await self.listener.start(self.sock, tls)
        self._ready.set()
        await self._stop.wait()
        limit_s, patient = self._how
        await self.listener.drain(limit_s, patient=patient)


def closed(peer: socket.socket) -> bool:
    """Read until the server ends it, in order or by a reset. Raises TimeoutError when it does not."""
    try:
        while peer.recv(1 << 16):
            pass
    except ConnectionError:
        pass
    return True


async def hello(exchange: Exchange) -> None:
    """Answer the path that was asked for."""
    exchange.answer(b'{"path":"%b"}' % exchange.call.path.encode())


@contextmanager
def listening(
    handler: Handler = hello, limits: ListenerLimits = SMALL, tls: ssl.SSLContext | None = None
) -> Iterator[RunningListener]:
    """A listener for the length of a `with` block, drained at its end."""
    running = RunningListener(handler, limits, tls)
    try:
        yield running
    finally:
        running.drain()
        try:
            assert running.ended(), "the listener did not drain"
        finally:
            running.sock.close()
