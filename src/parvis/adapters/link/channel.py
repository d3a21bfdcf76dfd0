"""Framed messages over one stream connection, by callback."""

import asyncio
from collections.abc import Callable
from typing import cast

import msgspec

from parvis.adapters.link.messages import HEAD, MESSAGE_BYTES_MAX, Message, pack, unpack


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

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, message: Message) -> None:
        """Send, or drop silently when the other end has gone: who waits for an answer has a deadline."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(pack(message))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods, and not the base class.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= HEAD.size:
            (length,) = HEAD.unpack_from(self._buffer)
            if length > MESSAGE_BYTES_MAX:
                self.close()
                return
            if len(self._buffer) < HEAD.size + length:
                return
            payload = bytes(self._buffer[HEAD.size : HEAD.size + length])
            del self._buffer[: HEAD.size + length]
            try:
                message = unpack(payload)
            except msgspec.DecodeError:
                self.close()
                return
            self._received(self, message)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport = None
        self._closed(self)
