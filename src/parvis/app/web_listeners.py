"""The listeners of control: uvicorn on sockets that the supervisor owns, opened and closed as often as need be."""

import asyncio
import ssl
from dataclasses import dataclass
from socket import socket

import uvicorn
from fastapi import FastAPI

from parvis.app.tls import server_context
from parvis.settings import WebListener

CALLS_S_MAX = 10
"""How long calls that run may still take when the listeners close."""


class Certificate:
    """The TLS of one listener, whose certificate can be another for every new handshake.

    A handshake begins with the first context and goes on with the latest one: each was proved before, none is ever
    changed, and whoever is connected keeps theirs.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._latest = context
        self.context = context
        # Called by OpenSSL in every handshake, whether or not it names a host.
        self.context.sni_callback = self._choose

    def renew(self, context: ssl.SSLContext) -> None:
        self._latest = context

    def _choose(self, handshake: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        handshake.context = self._latest


@dataclass(frozen=True, slots=True)
class Served:
    """An application, its socket, and its TLS if it has any."""

    app: FastAPI
    sock: socket
    tls: ssl.SSLContext | None


class WebListeners:
    """Applications, each on its socket."""

    def __init__(self) -> None:
        self._servers: list[uvicorn.Server] = []
        self._serving: list[asyncio.Future[None]] = []
        self._certificates: list[Certificate | None] = []

    async def open(self, served: list[Served]) -> None:
        """Accept. What waited in the sockets' queues is answered too."""
        self._certificates = [Certificate(one.tls) if one.tls else None for one in served]
        self._servers = [
            _server(one.app, certificate) for one, certificate in zip(served, self._certificates, strict=True)
        ]
        # Signals are ours: uvicorn would take them for itself. It closes what it is given, and we may open again.
        self._serving = [
            asyncio.ensure_future(server._serve([one.sock.dup()]))  # noqa: SLF001 - `serve` is this plus signal handlers
            for server, one in zip(self._servers, served, strict=True)
        ]
        while not all(server.started for server in self._servers):  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)

    def renew(self, contexts: list[ssl.SSLContext | None]) -> None:
        """Other certificates from now on, in the order of the applications; those that have TLS keep having it."""
        for certificate, context in zip(self._certificates, contexts, strict=False):
            if certificate is not None and context is not None:
                certificate.renew(context)

    async def close(self) -> None:
        """Accept no more and let what runs finish. The queues stay, for who accepts next."""
        for server in self._servers:
            server.should_exit = True
        await asyncio.gather(*self._serving)
        self._servers, self._serving, self._certificates = [], [], []


def web_context(name: str, listener: WebListener) -> ssl.SSLContext | None:
    """What a listener of the settings speaks TLS with; None when it does not. Raises Misconfigured."""
    return server_context(listener.tls_cert, listener.tls_key, name) if listener.tls_cert else None


def _server(app: FastAPI, certificate: Certificate | None) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=CALLS_S_MAX,
            ssl_context_factory=None if certificate is None else lambda _config, _usual: certificate.context,
        )
    )
