"""The accept loop. A connection is counted before a byte of it is read, and costs little where there is no place."""

import asyncio
import errno
import logging
from collections.abc import Callable
from socket import (
    IPPROTO_TCP,
    SO_LINGER,
    SO_SNDBUF,
    SOL_SOCKET,
    TCP_NODELAY,
    TCP_NOTSENT_LOWAT,
    socket,
)
from struct import pack

from parvis.api.inference.places import Place, Places

BACKLOG = 4096
AT_ONCE_MAX = 32
"""Accepted in one turn of the loop, so that a crowd at the door does not keep those inside waiting."""
REST_S = 0.25
LOG_INTERVAL_S = 60.0
SEND_BUFFER_BYTES = 256 << 10
"""What the kernel keeps for a client, on the way and acknowledged by nobody yet."""
UNSENT_BYTES_MAX = 64 << 10
"""What of it may wait because the client takes nothing."""
_GONE = frozenset(
    {
        errno.ECONNABORTED,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENONET,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.EPERM,
        errno.EPROTO,
    }
)
"""`accept(2)`: these are news about one client that came and went."""
_AT_ONCE = pack("ii", 1, 0)
"""`SO_LINGER`: without a word more."""
_log = logging.getLogger("parvis.inference")


def reset(transport: asyncio.Transport) -> None:
    """End a connection now. Its kernel need not keep either what the client does not take."""
    transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, _AT_ONCE)
    transport.abort()


class Acceptor:
    """Accepts on one socket. It never closes it: its owner lends it to us, and to the next gateway after us."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, places: Places, greeter: Callable[[Place], asyncio.Protocol]
    ) -> None:
        self._loop = loop
        self._places = places
        self._greeter = greeter
        self._sock: socket | None = None
        self._rest: asyncio.TimerHandle | None = None
        self._coming: set[asyncio.Task[None]] = set()
        self._silent_until_s: dict[str, float] = {}

    def open(self, sock: socket) -> None:
        """Begin. Connections inherit what is set here."""
        self._sock = sock
        sock.settimeout(0)
        sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        # Left to itself the kernel hoards megabytes for each client that reads slowly, and tells for a long time of
        # no progress when there is some. (TCP_USER_TIMEOUT is not for us: it also counts the time in which a client
        # that reads slowly makes progress.)
        sock.setsockopt(SOL_SOCKET, SO_SNDBUF, SEND_BUFFER_BYTES)
        sock.setsockopt(IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES_MAX)
        sock.listen(BACKLOG)
        self._loop.add_reader(sock, self._accept_some)

    def close(self) -> None:
        """Accept no more. Who waits in the socket's queue stays there, for whoever accepts next."""
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        elif self._sock is not None:
            self._loop.remove_reader(self._sock)
        self._sock = None

    def _accept_some(self) -> None:
        assert self._sock is not None  # noqa: S101 - it is being read
        for _ in range(AT_ONCE_MAX):
            try:
                client, address = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as problem:
                if problem.errno in _GONE:
                    continue
                self._pause(problem)
                return
            place = self._places.take(address[0])
            if place is None:
                self._turn_away(client)
                continue
            task = self._loop.create_task(self._admit(client, place))
            self._coming.add(task)
            task.add_done_callback(self._coming.discard)

    async def _admit(self, client: socket, place: Place) -> None:
        """From here on the protocol owns the place, and gives it back when its connection is lost."""
        try:
            await self._loop.connect_accepted_socket(lambda: self._greeter(place), client)
        except OSError:
            client.close()
            self._places.give_back(place)

    def _turn_away(self, client: socket) -> None:
        """A reset leaves nothing behind in the kernel, and tells a client library to try again later."""
        client.setsockopt(SOL_SOCKET, SO_LINGER, _AT_ONCE)
        client.close()
        self._tell("connections refused: there are as many as connections_max or connections_per_address_max allow")

    def _pause(self, problem: OSError) -> None:
        """Descriptors or memory are short: look again in a moment, instead of all the time."""
        assert self._sock is not None  # noqa: S101 - it was being read
        self._loop.remove_reader(self._sock)
        self._rest = self._loop.call_later(REST_S, self._go_on)
        kind = errno.errorcode.get(problem.errno or 0, "")
        self._tell("connections cannot be accepted for now", kind)

    def _go_on(self) -> None:
        self._rest = None
        if self._sock is not None:
            self._loop.add_reader(self._sock, self._accept_some)

    def _tell(self, what: str, kind: str = "") -> None:
        """In the log, and not again for a minute."""
        now_s = self._loop.time()
        if now_s >= self._silent_until_s.get(what, 0.0):
            self._silent_until_s[what] = now_s + LOG_INTERVAL_S
            _log.warning(what, extra={"kind": kind})
