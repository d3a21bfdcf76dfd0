"""Clients that take their time, many at once, in a process of their own so that they do not slow down who measures.

    with slow_clients(Crowd(port, heads=50, bodies=50, readers=25, stream=request)) as crowd:
        ...  # what others notice of it
    crowd.seen  # how long each kind could stay

Each sends or takes a byte in a while, and comes back when it sees that it was thrown out. A slow reader may not see it
for long: its kernel has no room even for a reset. They come from an address of their own.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from threading import Thread
from typing import Literal

import msgspec

HOST = "127.0.0.2"
"""Where they come from; all of 127.0.0.0/8 is this machine."""
READY_S_MAX = 120.0
CALL_S_MAX = 10.0
PAUSE_S = 0.02
HEAD = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n"
BODY = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{"
GOOD = b"HTTP/1.1 200"
RECEIVE_BYTES = 1 << 14
"""Little, for a client that reads slowly."""
Kind = Literal["heads", "bodies", "readers"]


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many of each kind, and how slow."""

    port: int
    heads: int = 0
    bodies: int = 0
    readers: int = 0
    stream: str = ""
    """What a slow reader asks for: a whole request."""
    gap_s: float = 1.0
    beyond: int = 0
    """So many more knock once all are in their places, and say nothing."""


@dataclass(slots=True)
class Stays:
    """What the clients of one kind saw."""

    came: int = 0
    thrown_out: int = 0
    refused: int = 0
    """Not let in."""
    unheard: int = 0
    """Slow readers that were not given their stream."""
    stayed_s_max: float = 0.0


@dataclass(slots=True)
class Seen:
    """What the whole crowd saw."""

    heads: Stays = field(default_factory=Stays)
    bodies: Stays = field(default_factory=Stays)
    readers: Stays = field(default_factory=Stays)
    beyond: Stays = field(default_factory=Stays)


class SlowClient:
    """One of them: connected, or to be connected again at its next turn."""

    def __init__(self, crowd: Crowd, kind: Kind, stays: Stays) -> None:
        self._port = crowd.port
        self._kind = kind
        self._first = {"heads": HEAD, "bodies": BODY, "readers": crowd.stream.encode()}[kind]
        self._stays = stays
        self._sock: socket.socket | None = None
        self._since_s = 0.0
        self._heard = False

    def turn(self) -> None:
        """Come, or do next to nothing and see whether we are still welcome."""
        if self._sock is None:
            self._come()
            return
        try:
            welcome = self._dawdle(self._sock)
        except BlockingIOError:
            welcome = True
        except OSError:
            welcome = False
        self._stays.stayed_s_max = max(self._stays.stayed_s_max, time.monotonic() - self._since_s)
        if not welcome:
            self._stays.thrown_out += 1
            self.leave()

    def leave(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _come(self) -> None:
        self._since_s, self._heard = time.monotonic(), False
        self._stays.came += 1
        try:
            self._sock = connected(self._port)
            self._sock.sendall(self._first)
            self._sock.settimeout(0)
        except OSError:
            self._stays.refused += 1
            self.leave()

    def _dawdle(self, sock: socket.socket) -> bool:
        """Whether the connection lives. Raises BlockingIOError for yes, and any other OSError for no."""
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return False
        if self._kind != "readers":
            sock.send(b"X-a: b\r\n" if self._kind == "heads" else b" ")
            sock.recv(1 << 12)
            return False  # whatever it was: there is nothing good to be said
        if self._heard:
            return bool(sock.recv(1))
        status = sock.recv(len(GOOD))
        self._stays.unheard += status != GOOD
        self._heard = True
        return status == GOOD


def connected(port: int) -> socket.socket:
    """A connection from the crowd's address, whose kernel takes little. Raises OSError."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    sock.settimeout(CALL_S_MAX)
    try:
        sock.bind((HOST, 0))
        sock.connect(("127.0.0.1", port))
    except OSError:
        sock.close()
        raise
    return sock


def knock(crowd: Crowd, stays: Stays) -> list[socket.socket]:
    """Come when all places are taken; those who were let in stay."""
    inside = []
    for _ in range(crowd.beyond):
        stays.came += 1
        try:
            sock = connected(crowd.port)
            sock.settimeout(0.05)
            sock.recv(1)
        except TimeoutError:
            inside.append(sock)
        except OSError:
            stays.refused += 1
    return inside


# ------------------------------------------------------------------------------------------------ its process


class CrowdProcess:
    """The crowd, as who watches it sees it."""

    def __init__(self, crowd: Crowd) -> None:
        self.seen = Seen()
        """Filled at the end."""
        command = [sys.executable, "-m", "parvis.testing.slow_clients", msgspec.json.encode(crowd).decode()]
        self._child = subprocess.Popen(  # noqa: S603 - our own program, without a shell
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def wait_until_all_have_come(self) -> None:
        assert self._child.stdout
        assert self._child.stdout.readline() == b"ready\n", "the slow clients ended before they had come"

    def end(self) -> None:
        said, _ = self._child.communicate(timeout=READY_S_MAX)
        if self._child.returncode == 0:
            self.seen = msgspec.json.decode(said.splitlines()[-1], type=Seen)


@contextmanager
def slow_clients(crowd: Crowd) -> Iterator[CrowdProcess]:
    """All of them have come when the block begins; they go on until it ends."""
    process = CrowdProcess(crowd)
    try:
        process.wait_until_all_have_come()
        yield process
    finally:
        process.end()


def main() -> None:
    """Dawdle until stdin ends."""
    crowd = msgspec.json.decode(sys.argv[1], type=Crowd)
    seen = Seen()
    clients = [SlowClient(crowd, "readers", seen.readers) for _ in range(crowd.readers)]
    clients += [SlowClient(crowd, "bodies", seen.bodies) for _ in range(crowd.bodies)]
    clients += [SlowClient(crowd, "heads", seen.heads) for _ in range(crowd.heads)]
    told = Thread(target=sys.stdin.read, daemon=True)
    told.start()
    for client in clients:
        client.turn()
    inside = knock(crowd, seen.beyond)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    at_once = max(1, round(len(clients) * PAUSE_S / crowd.gap_s))
    turns = cycle(clients)
    while told.is_alive():
        time.sleep(PAUSE_S)
        for _ in range(at_once):
            next(turns).turn()
    for client in clients:
        client.leave()
    for sock in inside:
        sock.close()
    sys.stdout.write(msgspec.json.encode(seen).decode() + "\n")


if __name__ == "__main__":
    main()
