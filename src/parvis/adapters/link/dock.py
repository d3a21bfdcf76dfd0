"""Where gateways of other machines arrive: mutual TLS, and who is believed is heard as a gateway of this machine is.

A machine without a certificate may do one thing: join. A connection's first message comes after the handshake, so what
a certificate says is known before anything else is read.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from socket import socket

from cryptography import x509

from parvis.adapters.link.channel import Channel
from parvis.adapters.link.control_side import ControlLink
from parvis.adapters.link.messages import Joined, JoinWanted, Message, Shipped
from parvis.adapters.link.shipping import Ships
from parvis.core.errors import Failure

HANDSHAKE_S_MAX = 5.0

Join = Callable[[JoinWanted], Awaitable[Joined]]


@dataclass
class Gate:
    """Who decides: whether a serial number is believed, and whether a code opens."""

    believed: Callable[[str], bool]
    join: Join


class Dock:
    """Control's listener for other machines."""

    def __init__(self, link: ControlLink, ships: Ships, gate: Gate) -> None:
        self._link = link
        self._ships = ships
        self._gate = gate
        self._serials: dict[Channel, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, sock: socket, context: ssl.SSLContext) -> None:
        """Listen. The context asks for certificates, and takes those of its authority or none."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Channel(self._received, self._closed), sock=sock, ssl=context, ssl_handshake_timeout=HANDSHAKE_S_MAX
        )

    def close(self) -> None:
        """Everybody is hung up on."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for channel in list(self._serials):
            channel.close()

    def look_again(self) -> None:
        """Machines were removed: theirs are hung up on now."""
        for channel, serial in list(self._serials.items()):
            if not self._gate.believed(serial):
                channel.close()

    def _received(self, channel: Channel, message: Message) -> None:
        if channel not in self._serials and not self._let_in(channel):
            if isinstance(message, JoinWanted) and channel.certificate is None:
                self._do(self._join(channel, message))
            else:
                channel.close()
            return
        match message:
            case Shipped():
                self._ships.take(channel, message)
            case _:
                self._link.hear(channel, message)

    def _let_in(self, channel: Channel) -> bool:
        certificate = channel.certificate
        if certificate is None:
            return False
        serial = f"{x509.load_der_x509_certificate(certificate).serial_number:x}"
        if self._gate.believed(serial):
            self._serials[channel] = serial
        return channel in self._serials

    async def _join(self, channel: Channel, wanted: JoinWanted) -> None:
        try:
            channel.send(await self._gate.join(wanted))
        except Failure as failure:
            channel.send(Joined(problem=str(failure)))
        channel.close()

    def _do(self, work: "Awaitable[None]") -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _closed(self, channel: Channel) -> None:
        if self._serials.pop(channel, None) is not None:
            self._ships.lose(channel)
            self._link.lose(channel)
