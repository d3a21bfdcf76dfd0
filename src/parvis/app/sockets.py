"""The listening sockets of the service: bound here, or given by a service manager or by the release before.

They belong to the supervisor for as long as anybody may call, and go from process to process. A socket that is given
is used, never closed beside: closing one resets whoever waits in its queue.
"""

import errno
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from parvis.core.errors import Misconfigured
from parvis.settings import Listen, Settings

Given = Mapping[str, Sequence[socket.socket]]
"""Sockets by the name of their listener: inference, console, operator."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """One for each gateway, and two for control."""

    inference: list[socket.socket]
    console: socket.socket
    operator: socket.socket

    @property
    def named(self) -> list[tuple[str, socket.socket]]:
        """All of them, by the name of their listener."""
        own = [("inference", sock) for sock in self.inference]
        return [*own, ("console", self.console), ("operator", self.operator)]

    def close(self) -> None:
        for _, sock in self.named:
            sock.close()


def take_sockets(settings: Settings, given: Given) -> Sockets:
    """The given sockets that listen where the settings say, and new ones for what is missing. Raises Misconfigured.

    More sockets than workers were asked for stay in use, with a worker each. When one cannot be had, those that were
    bound here are closed.
    """
    wanted = {"inference": settings.inference.workers, "console": 1, "operator": 1}
    taken = {name: [s for s in given.get(name, ()) if _is_at(s, at)] for name, at in _listeners(settings).items()}
    bound: list[socket.socket] = []
    try:
        for name, listener in _listeners(settings).items():
            while len(taken[name]) < wanted[name]:
                bound.append(_bind_beside(name, listener, taken[name], shared=wanted[name] > 1))
                taken[name].append(bound[-1])
    except Misconfigured:
        for sock in bound:
            sock.close()
        raise
    return Sockets(taken["inference"], taken["console"][0], taken["operator"][0])


def inference_sockets(settings: Settings) -> list[socket.socket]:
    """One for each gateway, of a machine that has nothing else. Raises Misconfigured."""
    workers = settings.inference.workers
    bound: list[socket.socket] = []
    while len(bound) < workers:
        bound.append(_bind_beside("inference", settings.inference, bound, shared=workers > 1))
    return bound


def misplaced(settings: Settings, given: Given) -> list[str]:
    """The addresses of given sockets that are not where the settings say that their listener is."""
    return [
        _address(sock)
        for name, listener in _listeners(settings).items()
        for sock in given.get(name, ())
        if not _is_at(sock, listener)
    ]


def _bind_beside(name: str, listener: Listen, others: Sequence[socket.socket], *, shared: bool) -> socket.socket:
    """One more; where another user bound the others there can be none, and two workers accept from one queue."""
    try:
        return _bind(name, listener, others, shared=shared)
    except Misconfigured:
        if not others:
            raise
        return others[0].dup()


def _bind(name: str, listener: Listen, others: Sequence[socket.socket], *, shared: bool) -> socket.socket:
    """A bound socket that children inherit; over shared ones, `others` too, the kernel spreads connections.

    Raises Misconfigured when the port is taken.
    """
    sock = socket.socket(socket.AF_INET6 if ":" in listener.host else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for one in (sock, *others) if shared else ():
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((listener.host, listener.port))
    except OSError as problem:
        sock.close()
        variable = f"PARVIS_{name.upper()}__LISTEN"
        why = "is taken" if problem.errno == errno.EADDRINUSE else f"cannot be used ({problem.strerror})"
        raise Misconfigured(f"{listener.listen} {why}. Stop what uses it, or set {variable}=HOST:PORT.") from None
    sock.settimeout(0)
    return sock


def _listeners(settings: Settings) -> dict[str, Listen]:
    return {"inference": settings.inference, "console": settings.console, "operator": settings.operator}


def _is_at(sock: socket.socket, listener: Listen) -> bool:
    host, port = sock.getsockname()[:2]
    return (ip_address(host), port) == (ip_address(listener.host), listener.port)


def _address(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
