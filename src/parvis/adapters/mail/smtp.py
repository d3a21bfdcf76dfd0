"""`Mailer` with the standard library's SMTP, in a thread."""

import asyncio
import smtplib
import socket
import ssl
from collections.abc import Awaitable, Callable
from email.message import EmailMessage
from ipaddress import ip_address

from parvis.core.errors import Unavailable
from parvis.core.secret import Secret

CALL_S_MAX = 20.0
IMPLICIT_TLS_PORT = 465
"""RFC 8314: there TLS comes first; elsewhere by STARTTLS, and without it nothing is sent."""
Addresses = Callable[[str, int], Awaitable[list[str]]]


class SmtpMailer:
    """`server` is `name:port`; `addresses` finds and checks those of a name.

    Plain SMTP is for loopback alone, and there only if `plain_here`; else the certificate must be trusted.
    """

    def __init__(
        self,
        server: str,
        sender: str,
        addresses: Addresses,
        tls: ssl.SSLContext,
        login: tuple[str, Secret] | None = None,
        *,
        plain_here: bool = True,
    ) -> None:
        host, _, port = server.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._sender = sender
        self._addresses = addresses
        self._login = login
        self._tls = tls
        self._plain_here = plain_here

    async def send(self, to: str, subject: str, text: str, message_id: str) -> None:
        """See the port."""
        address = (await self._addresses(self._host, self._port))[0]
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = self._sender, to, subject
        mail["Message-ID"] = f"<{message_id}@{self._sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(text)
        try:
            await asyncio.to_thread(self._hand_over, address, mail)
        except (OSError, smtplib.SMTPException) as problem:
            raise Unavailable(f"The mail server does not take it ({type(problem).__name__}).") from None

    def _hand_over(self, address: str, mail: EmailMessage) -> None:
        tls_first = self._port == IMPLICIT_TLS_PORT
        with _ByAddress(self._host, self._port, address, self._tls if tls_first else None) as server:
            if not tls_first and not (self._plain_here and ip_address(address).is_loopback):
                server.starttls(context=self._tls)
            if self._login is not None:
                server.login(self._login[0], self._login[1].reveal())
            server.send_message(mail)


class _ByAddress(smtplib.SMTP):
    """Connects to the address that was checked, under the name that the certificate must have."""

    def __init__(self, host: str, port: int, address: str, tls: ssl.SSLContext | None) -> None:
        self._address = address
        self._tls = tls
        super().__init__(host, port, timeout=CALL_S_MAX)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connected = socket.create_connection((self._address, port), timeout)
        return connected if self._tls is None else self._tls.wrap_socket(connected, server_hostname=host)
