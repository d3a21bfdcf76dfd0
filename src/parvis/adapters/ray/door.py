"""The door of a replica: TLS on its node's address, and behind it the engine server, which listens on loopback only.

Bytes pass as they come. When one side hangs up, so does the other: an engine notices at once that a client has left.
"""

import asyncio
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

HANDSHAKE_S_MAX = 5.0
SHUTDOWN_S_MAX = 2.0


class Door:
    """Opened once, and open until the replica ends."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._server: asyncio.Server | None = None
        self._engine_port = 0
        self._visits: set[asyncio.Task[None]] = set()

    async def open(self, context: ssl.SSLContext, engine_port: int) -> int:
        """Let callers in from now on; the port. Raises OSError."""
        self._engine_port = engine_port
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _End(self._visit),
            self._host,
            0,
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE_S_MAX,
            ssl_shutdown_timeout=SHUTDOWN_S_MAX,
        )
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def close(self) -> None:
        """Nobody comes in any more; who is inside stays until the engine ends."""
        if self._server is not None:
            self._server.close()

    def _visit(self, caller: "_End") -> None:
        visit = asyncio.get_running_loop().create_task(self._lead_in(caller))
        self._visits.add(visit)
        visit.add_done_callback(self._visits.discard)

    async def _lead_in(self, caller: "_End") -> None:
        """From a caller to the engine. One that has none any more hangs up."""
        loop = asyncio.get_running_loop()
        try:
            _, engine = await loop.create_connection(lambda: _End(None), "127.0.0.1", self._engine_port)
        except OSError:
            caller.hang_up()
        else:
            engine.meet(caller)
            caller.meet(engine)


class _End(asyncio.Protocol):
    """One of the two ends of a visit. A fast reader waits for a slow writer."""

    def __init__(self, arrived: "Callable[[_End], None] | None") -> None:
        self._arrived = arrived
        """Of a caller: who leads it in."""
        self._transport: asyncio.Transport | None = None
        self._other: _End | None = None

    def meet(self, other: "_End") -> None:
        """What comes here goes there from now on."""
        self._other = other
        if self._transport is None:  # it left while the other was called
            other.hang_up()
        self.resume()

    def send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def pause(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def hang_up(self) -> None:
        """When all has been sent that was given."""
        if self._transport is not None:
            self._transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.pause()
        if self._arrived is not None:
            self._arrived(self)

    def data_received(self, data: bytes) -> None:
        if self._other is not None:
            self._other.send(data)

    def pause_writing(self) -> None:
        if self._other is not None:
            self._other.pause()

    def resume_writing(self) -> None:
        if self._other is not None:
            self._other.resume()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport = None
        if self._other is not None:
            self._other.hang_up()


def door_context(certificate: str, key: bytes) -> ssl.SSLContext:
    """TLS 1.3 with this certificate and its key (both PEM). They lie on the disk only while they are read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    context.num_tickets = 0
    with tempfile.TemporaryDirectory(prefix="parvis-door-") as folder:
        certificate_file, key_file = Path(folder, "door.pem"), Path(folder, "door.key")
        certificate_file.write_text(certificate)
        key_file.write_bytes(key)
        context.load_cert_chain(certificate_file, key_file)
    return context
