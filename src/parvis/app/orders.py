"""`run/supervisor.sock`: what the supervisor of a data folder is told while it runs, and by whom.

A JSON line in each direction, in turn; listening sockets may travel beside a line. Only the same user is heard: the
socket's file is that user's alone, and the kernel says who called.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import msgspec

from parvis.core.errors import Misconfigured

LINE_BYTES_MAX = 1 << 16
DESCRIPTORS_MAX = 253  # SCM_MAX_FD of Linux
BACKLOG = 8
Word = dict[str, Any]


def path_of(home: Path) -> Path:
    """Where the supervisor of a data folder is told."""
    return home / "run" / "supervisor.sock"


class Line:
    """One conversation. Each side says one word and then hears one."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(0)
        self._sock = sock
        self._descriptors: list[int] = []

    @classmethod
    async def to(cls, home: Path) -> Self:
        """Call the supervisor of this data folder. Raises Misconfigured when there is none."""
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(0)
        try:
            await asyncio.get_running_loop().sock_connect(sock, str(path_of(home)))
        except OSError:
            sock.close()
            raise Misconfigured(f"No service runs with the data folder {home}. Start it with `parvis up`.") from None
        return cls(sock)

    @property
    def peer(self) -> tuple[int, int]:
        """(pid, user id) of the other side, as the kernel knows them."""
        pid, uid, _ = struct.unpack("3i", self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return pid, uid

    def say(self, word: Word, descriptors: Sequence[int] = ()) -> None:
        """Words are small and the other side waits for them, so this never blocks. One that has gone is no error."""
        with suppress(OSError):
            socket.send_fds(self._sock, [msgspec.json.encode(word) + b"\n"], descriptors)

    async def hear(self) -> Word | None:
        """The next word; None when the other side has gone, or makes no sense."""
        line = b""
        while not line.endswith(b"\n"):
            await self._readable()
            try:
                read, descriptors, _, _ = socket.recv_fds(self._sock, LINE_BYTES_MAX, DESCRIPTORS_MAX)
            except OSError:
                return None
            self._descriptors += descriptors
            line += read
            if not read or len(line) > LINE_BYTES_MAX:
                return None
        try:
            return msgspec.json.decode(line, type=Word)
        except msgspec.DecodeError:
            return None

    def take_descriptors(self) -> list[int]:
        """What came beside the words, in its order; whose it is now."""
        taken, self._descriptors = self._descriptors, []
        return taken

    def close(self) -> None:
        self._sock.close()
        for descriptor in self.take_descriptors():
            os.close(descriptor)

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._sock, _resolve, ready)
        try:
            await ready
        finally:
            loop.remove_reader(self._sock)


class OrderDesk:
    """Where orders come in. Each caller gives one; what comes of it is said on the same line."""

    def __init__(self, home: Path, obey: Callable[[Line, Word], Awaitable[None]]) -> None:
        """Raises Misconfigured when there can be no such socket."""
        self._path = path_of(home)
        self._behind = self._path.with_name(f"{os.getpid()}.sock")
        self._obey = obey
        self._tasks: set[asyncio.Task[None]] = set()
        self._sock = _bound(self._behind)

    def open(self) -> None:
        """Take the place of whoever was told before. What could fail has been done; this cannot."""
        self._behind.rename(self._path)
        for left in self._path.parent.glob("[0-9]*.sock"):  # of one that was killed before it came so far
            left.unlink(missing_ok=True)
        self._start(self._accept())

    async def close(self) -> None:
        """Hear nobody any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._sock.close()
        self._behind.unlink(missing_ok=True)

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self) -> None:
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(self._sock)
            self._start(self._serve(Line(sock)))

    async def _serve(self, line: Line) -> None:
        try:
            if line.peer[1] == os.geteuid() and (word := await line.hear()) is not None:
                await self._obey(line, word)
        finally:
            line.close()


def _resolve(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


def _bound(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    path.unlink(missing_ok=True)
    try:
        sock.bind(str(path))
    except OSError as problem:
        sock.close()
        raise Misconfigured(f"The socket {path} cannot be made: {problem}. Set PARVIS_HOME.") from None
    path.chmod(0o600)
    sock.settimeout(0)
    sock.listen(BACKLOG)
    return sock


async def order(home: Path, word: Word) -> Word:
    """Give one order, and wait for what comes of it. Raises Misconfigured with the supervisor's sentence."""
    line = await Line.to(home)
    try:
        line.say(word)
        said = await line.hear()
    finally:
        line.close()
    if said is None:
        raise Misconfigured("The service ended before it answered.")
    if "error" in said:
        raise Misconfigured(str(said["error"]))
    return said
