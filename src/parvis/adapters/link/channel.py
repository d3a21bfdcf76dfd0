"""Framed messages over one stream connection, by callback."""

import asyncio
from collections.abc import Callable
from typing import cast

import msgspec

from parvis.adapters.link.messages import HEAD, MESSAGE_BYTES_MAX, Message, pack, unpack

UNSENT_BYTES_MAX = 64 << 20
"""An end that takes so little for so long is hung up on. It will ask anew."""


class Channel(asyncio.Protocol):
    """One end of a link. A message that is too long or makes no sense ends the connection."""

    def __init__(
        self,
        received: Callable[["Channel", Message], None],
        closed: Callable[["Channel"], None] = lambda _: None,
    ) -> None:
        self._received = received
        self._closed = closed
        self._buffer = bytearray()
        self._transport: asyncio.WriteTransport | None = None
        self._room = asyncio.Event()
        self._room.set()

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, message: Message) -> None:
        """Send, or drop silently when the other end has gone: who waits for an answer has a deadline."""
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(pack(message))
        if self._transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            self._transport.abort()

    async def room(self) -> None:
        """Return when the other end has taken most of what was sent, or has gone."""
        await self._room.wait()

    def close(self) -> None:
        """After what was sent has left."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """At once, whatever waits to be sent."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def certificate(self) -> bytes | None:
        """The other end's (DER), which the handshake has proved; None for one that has shown none."""
        tls = None if self._transport is None else self._transport.get_extra_info("ssl_object")
        return None if tls is None else tls.getpeercert(binary_form=True)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods, and not the base class.
        self._transport = cast("asyncio.WriteTransport", transport)

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        start = 0
        while len(self._buffer) - start >= HEAD.size:
            (length,) = HEAD.unpack_from(self._buffer, start)
            if length > MESSAGE_BYTES_MAX:
                self.close()
                return
            end = start + HEAD.size + length
            if len(self._buffer) < end:
                break
            payload = bytes(self._buffer[start + HEAD.size : end])
            start = end
            try:
                message = unpack(payload)
            except msgspec.DecodeError:
                self.close()
                return
            self._received(self, message)
        del self._buffer[:start]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport = None
        self._room.set()
        self._closed(self)
