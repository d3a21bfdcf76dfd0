"""One answer's way out: bytes are counted, cut and split as ordered, and the record tells what was sent."""

import asyncio
from collections import deque
from http.client import responses

from parvis.testing.fake_engine.commands import Commands
from parvis.testing.fake_engine.connection import Connection, CutError, Request
from parvis.testing.fake_engine.record import Record

_WHOLE = 1 << 62
"""More bytes than any body has."""


class Body:
    """The body of one answer, written whole or event by event. Its methods raise CutError when ordered."""

    def __init__(self, connection: Connection, request: Request, record: Record, orders: Commands) -> None:
        self._connection = connection
        self._keep_alive = request.keep_alive
        self._record = record
        self._cut_bytes = _WHOLE if orders.cut_bytes is None else orders.cut_bytes
        self._piece_bytes = _WHOLE if orders.merge else orders.split
        self._held = bytearray()
        self._given = 0
        self._sent = 0
        self._ends: deque[tuple[int, int]] = deque()
        """Where the events end that are not wholly sent, and their tokens."""

    async def whole(self, status: int, kind: str, data: bytes, tokens: int = 0) -> None:
        """Send a body of known length. Raises CutError."""
        await self._connection.send(self._head(status, kind, f"content-length: {len(data)}"))
        await self._connection.send(data[: self._cut_bytes])
        if len(data) <= self._cut_bytes:
            self._record.tokens_written = tokens
            self._record.finished = True
        if len(data) >= self._cut_bytes:
            raise CutError

    async def sound(self, kind: str, data: bytes, audio_ms: int) -> None:
        """Send a body of known length, and in its head how long it sounds."""
        await self._connection.send(self._head(200, kind, f"x-audio-ms: {audio_ms}\r\ncontent-length: {len(data)}"))
        await self._connection.send(data)
        self._record.finished = True

    async def start(self) -> None:
        """Send the head of a stream."""
        await self._connection.send(self._head(200, "text/event-stream; charset=utf-8", "transfer-encoding: chunked"))

    async def event(self, data: bytes, tokens: int) -> None:
        """Send an event of a stream, now or as soon as its piece is full. Raises CutError."""
        self._given += len(data)
        self._ends.append((self._given, tokens))
        if not self._piece_bytes:
            await self._piece(data)
            return
        self._held += data
        while len(self._held) >= self._piece_bytes:
            piece = bytes(self._held[: self._piece_bytes])
            del self._held[: self._piece_bytes]
            await self._piece(piece)

    async def flush(self) -> None:
        """Send what is held back. Raises CutError."""
        if self._held:
            piece = bytes(self._held)
            self._held.clear()
            await self._piece(piece)

    async def end(self) -> None:
        """End the stream. Raises CutError."""
        await self.flush()
        if self._sent >= self._cut_bytes:
            raise CutError
        await self._connection.send(b"0\r\n\r\n")
        self._record.finished = True

    async def _piece(self, data: bytes) -> None:
        """One HTTP chunk in a TCP write of its own, or as much of it as may be sent."""
        if self._sent:
            # A turn of the loop: others run, a peer that left is noticed, and no two pieces share a write.
            await asyncio.sleep(0)
        room = self._cut_bytes - self._sent
        if room > 0:
            end = b"\r\n" if room >= len(data) else b""
            self._sent += min(room, len(data))
            self._count()
            await self._connection.send(b"%x\r\n%b%b" % (len(data), data[:room], end))
        if room < len(data):
            raise CutError

    def _count(self) -> None:
        while self._ends and self._ends[0][0] <= self._sent:
            self._record.tokens_written += self._ends.popleft()[1]

    def _head(self, status: int, kind: str, length: str) -> bytes:
        self._record.status = status
        reason = responses.get(status, "Unknown")
        closing = "" if self._keep_alive else "connection: close\r\n"
        return f"HTTP/1.1 {status} {reason}\r\ncontent-type: {kind}\r\n{closing}{length}\r\n\r\n".encode()
