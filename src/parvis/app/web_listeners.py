"""The listeners of control: uvicorn on sockets that the supervisor owns, opened and closed as often as need be."""

import asyncio
from socket import socket

import uvicorn
from fastapi import FastAPI

CALLS_S_MAX = 10
"""How long calls that run may still take when the listeners close."""


class WebListeners:
    """Applications, each on its socket."""

    def __init__(self) -> None:
        self._servers: list[uvicorn.Server] = []
        self._serving: list[asyncio.Future[None]] = []

    async def open(self, served: list[tuple[FastAPI, socket]]) -> None:
        """Accept. What waited in the sockets' queues is answered too."""
        self._servers = [_server(app) for app, _ in served]
        # Signals are ours: uvicorn would take them for itself. It closes what it is given, and we may open again.
        self._serving = [
            asyncio.ensure_future(server._serve([sock.dup()]))  # noqa: SLF001 - `serve` is this plus signal handlers
            for server, (_, sock) in zip(self._servers, served, strict=True)
        ]
        while not all(server.started for server in self._servers):  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Accept no more and let what runs finish. The queues stay, for who accepts next."""
        for server in self._servers:
            server.should_exit = True
        await asyncio.gather(*self._serving)
        self._servers, self._serving = [], []


def _server(app: FastAPI) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=CALLS_S_MAX,
        )
    )
