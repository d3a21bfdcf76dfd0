"""A relay that keeps every byte of both directions: what a proxy really told the service behind it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from parvis.testing.hostile.verdict import Exchanged


class _Side(asyncio.Protocol):
    """One end of a relayed connection. What it receives is kept, and written to the other end."""

    def __init__(self) -> None:
        self.kept = bytearray()
        self.other: _Side | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.kept += data
        if self.other and self.other.transport:
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self.other and self.other.transport:
            self.other.transport.close()


class _Near(_Side):
    """The proxy's end. What it brings before the service's end is there goes on when it is."""

    def __init__(self, upstream: int) -> None:
        super().__init__()
        self.far = _Side()
        self._upstream = upstream
        self._opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._opening = asyncio.create_task(self._open())

    async def _open(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: self.far, "127.0.0.1", self._upstream)
        self.other, self.far.other = self.far, self
        assert self.transport
        assert self.far.transport
        if self.kept:
            self.far.transport.write(bytes(self.kept))
        if self.transport.is_closing():
            self.far.transport.close()


class Tap:
    """Listens on `port` of loopback, relays each connection to the service, and remembers it."""

    def __init__(self, upstream: int) -> None:
        self.port = 0
        self._upstream = upstream
        self._near: list[_Near] = []

    def accept(self) -> asyncio.Protocol:
        """The end of a new connection."""
        self._near.append(_Near(self._upstream))
        return self._near[-1]

    def exchanges(self) -> list[Exchanged]:
        """Both directions of every connection so far."""
        return [Exchanged(bytes(near.kept), bytes(near.far.kept)) for near in self._near]


@asynccontextmanager
async def tapped(upstream: int) -> AsyncIterator[Tap]:
    """A tap before a port of this machine, for the length of the block."""
    tap = Tap(upstream)
    server = await asyncio.get_running_loop().create_server(tap.accept, "127.0.0.1", 0)
    tap.port = server.sockets[0].getsockname()[1]
    try:
        yield tap
    finally:
        server.close()
