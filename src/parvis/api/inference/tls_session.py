"""TLS between a socket and a connection: our own layer over the standard library's, because its buffers must not lie.

It keeps nothing back: what is written is encrypted and handed to the plain transport at once, so that transport's
buffer says what a client has yet to take. A client that says nothing costs a few kilobytes; the costly part of a
handshake is done a few at a time.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, cast

from parvis.api.inference.connection import Connection
from parvis.api.inference.greeting import HANDSHAKE_FAILURE, is_affordable
from parvis.api.inference.limits import ListenerLimits
from parvis.api.inference.places import Place

RECORD_BYTES_MAX = 16 << 10
GREETED_AT_ONCE_MAX = 4
"""Handshakes answered in one turn of the loop: a millisecond or two that others wait."""
_HEAD_BYTES = 5
_HANDSHAKE = b"\x16\x03"
"""How the first record of every TLS client begins."""


class TlsOwner(Protocol):
    """The listener, as its TLS sessions see it."""

    limits: ListenerLimits
    handshakes: "Handshakes"

    def now(self) -> float: ...

    def joined(self, guest: "TlsSession") -> None: ...

    def parted(self, guest: "TlsSession") -> None: ...

    def new_connection(self, place: Place) -> Connection: ...


class Handshakes:
    """Whose turn it is. A flood of handshakes can slow down handshakes, and nothing else."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._call_soon = call_soon
        self._waiting: deque[TlsSession] = deque()
        self._under_way: dict[TlsSession, None] = {}

    def ask(self, session: "TlsSession") -> None:
        """Its greeting is whole; it will be answered in its turn."""
        self._waiting.append(session)
        if len(self._waiting) == 1:
            self._call_soon(self._answer_some)

    def over(self, session: "TlsSession") -> None:
        """Done, or gone."""
        self._under_way.pop(session, None)

    def _answer_some(self) -> None:
        for _ in range(min(GREETED_AT_ONCE_MAX, len(self._waiting))):
            # The last first: when there are too many, some are in time, instead of each being too late.
            self._answer(self._waiting.pop())
        if self._waiting:
            self._call_soon(self._answer_some)

    def _answer(self, session: "TlsSession") -> None:
        if session.is_closing():
            return
        self._under_way[session] = None
        if len(self._under_way) > session.limits.handshakes_max:
            oldest = next(iter(self._under_way))
            oldest.abort()
            self.over(oldest)
        session.answer_greeting()


class TlsSession(asyncio.Protocol):
    """The protocol of a plain transport, and the transport of a `Connection`, which it makes when both sides agree."""

    def __init__(self, owner: TlsOwner, context: ssl.SSLContext, place: Place) -> None:
        self.limits = owner.limits
        self.place: Place | None = place
        self.deadline_s = 0.0
        self._owner = owner
        self._context = context
        self._transport: asyncio.Transport
        self._greeting: bytes | None = b""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls: ssl.SSLObject
        self._connection: Connection | None = None
        self._closing = False

    # asyncio.Protocol, below

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods, and not the base class.
        self._transport = cast("asyncio.Transport", transport)
        self.deadline_s = self._owner.now() + self.limits.handshake_s_max
        self._owner.joined(self)

    def data_received(self, data: bytes) -> None:
        if self._connection is not None:
            self._decrypt(data)
        elif self._greeting is None:
            self._incoming.write(data)
            self._shake_hands()
        else:
            self._hear_greeting(self._greeting + data)

    def eof_received(self) -> bool:
        if self._connection is not None:
            self._connection.eof_received()
        return False

    def pause_writing(self) -> None:
        if self._connection is not None:
            self._connection.pause_writing()

    def resume_writing(self) -> None:
        if self._connection is not None:
            self._connection.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._owner.handshakes.over(self)
        if self._connection is not None:
            self._connection.connection_lost(exc)
            self._connection = None  # each holds the other
        else:
            self._owner.parted(self)

    # The handshake

    def _hear_greeting(self, greeting: bytes) -> None:
        """Wait for the whole first record, without which nothing can be computed. What is no TLS ends here."""
        self._greeting = greeting
        size = int.from_bytes(greeting[_HEAD_BYTES - 2 : _HEAD_BYTES])
        if greeting[: len(_HANDSHAKE)] != _HANDSHAKE[: len(greeting)] or size > RECORD_BYTES_MAX:
            self.abort()
        elif len(greeting) >= _HEAD_BYTES + size and len(greeting) > _HEAD_BYTES:
            self._transport.pause_reading()
            if is_affordable(greeting[_HEAD_BYTES : _HEAD_BYTES + size]):
                self._owner.handshakes.ask(self)
            else:
                self._transport.write(HANDSHAKE_FAILURE)
                self._break_off()

    def answer_greeting(self) -> None:
        """Its turn has come."""
        assert self._greeting is not None  # noqa: S101 - it asked
        self._incoming.write(self._greeting)
        self._greeting = None
        self._tls = self._context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._transport.resume_reading()
        self._shake_hands()

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send_off()
        except ssl.SSLError:
            self._break_off()
        else:
            self._send_off()
            self._open()

    def _open(self) -> None:
        """Hand over to a connection: the place, the deadlines, and what came with the end of the handshake."""
        self._owner.handshakes.over(self)
        assert self.place is not None  # noqa: S101 - it is given away here, once
        self._connection = self._owner.new_connection(self.place)
        self.place = None
        self._owner.parted(self)
        self._connection.connection_made(cast("asyncio.Transport", self))
        self._decrypt(b"")

    # What the listener asks and tells.

    def expire(self) -> None:
        self.abort()

    def retire(self) -> None:
        """Who has not even agreed on keys has asked for nothing."""
        self.abort()

    def cut_short(self) -> None:
        self.abort()

    # asyncio.Transport, above

    def write(self, data: bytes) -> None:
        if self._closing:
            return
        if len(data) <= RECORD_BYTES_MAX:
            self._tls.write(data)
            self._transport.write(self._outgoing.read())
            return
        # A record at a time: OpenSSL's buffers never shrink again.
        sealed = []
        for start in range(0, len(data), RECORD_BYTES_MAX):
            self._tls.write(data[start : start + RECORD_BYTES_MAX])
            sealed.append(self._outgoing.read())
        self._transport.write(b"".join(sealed))

    def close(self) -> None:
        """Say that no more comes, then end the connection after all that was written. The client need not agree."""
        if self._closing:
            return
        self._closing = True
        with suppress(ssl.SSLError):  # what the client says to it is of no interest
            self._tls.unwrap()
        self._send_off()
        self._transport.close()

    def abort(self) -> None:
        self._closing = True
        self._transport.abort()

    def get_extra_info(self, name: str) -> Any:
        return self._transport.get_extra_info(name)

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high, low)

    def can_write_eof(self) -> bool:
        """TLS could; clients do not expect it."""
        return False

    # Records

    def _decrypt(self, data: bytes) -> None:
        """Records in, whole or in part; what they say goes to the connection at once."""
        said: list[bytes] = []
        ended = False
        try:
            for start in range(0, len(data) or 1, RECORD_BYTES_MAX):
                self._incoming.write(data[start : start + RECORD_BYTES_MAX])
                ended = self._read_records(said)
        except ssl.SSLError:
            self._break_off()
            return
        self._send_off()
        if said and self._connection is not None:
            self._connection.data_received(said[0] if len(said) == 1 else b"".join(said))
        if ended and self._connection is not None:
            self._connection.eof_received()
            self.close()

    def _read_records(self, said: list[bytes]) -> bool:
        """All that can be read now; whether the client says that no more will come. Raises SSLError."""
        try:
            while self._incoming.pending or self._tls.pending():
                part = self._tls.read(RECORD_BYTES_MAX)
                if not part:
                    return True
                said.append(part)
        except ssl.SSLWantReadError:
            pass
        return False

    def _break_off(self) -> None:
        """End it with the alert that says why."""
        self._send_off()
        self._closing = True
        self._transport.close()

    def _send_off(self) -> None:
        if self._outgoing.pending:
            self._transport.write(self._outgoing.read())
