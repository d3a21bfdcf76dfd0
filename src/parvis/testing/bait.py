"""Things on this machine that a URL can name without a packet: a file and a Unix socket. Touching them is noticed.

with Bait(folder) as bait:
    ...  # requests that name bait.file and bait.socket
assert bait.touched() == 0
"""

import ctypes
import os
import socket
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

_IN_OPEN, _IN_ACCESS = 0x20, 0x01
_IN_NONBLOCK = os.O_NONBLOCK
_EVENT = struct.Struct("iIII")


class Bait:
    """A file and a listening socket in a folder."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "bait.txt"
        self.socket = folder / "bait.sock"
        self._libc = ctypes.CDLL(None, use_errno=True)

    def __enter__(self) -> Self:
        self.file.write_text("bait\n")
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self.socket))
        self._server.listen()
        self._server.settimeout(0)
        self._inotify = self._libc.inotify_init1(_IN_NONBLOCK)
        watch = self._libc.inotify_add_watch(self._inotify, bytes(self.file), _IN_OPEN | _IN_ACCESS)
        if min(self._inotify, watch) < 0:
            raise OSError(ctypes.get_errno(), "inotify cannot be used")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.close()
        os.close(self._inotify)

    def touched(self) -> int:
        """How often the file was opened or read, or the socket connected to, since the last call."""
        return self._file_events() + self._connections()

    def _file_events(self) -> int:
        try:
            data = os.read(self._inotify, 1 << 16)
        except BlockingIOError:
            return 0
        return len(data) // _EVENT.size

    def _connections(self) -> int:
        count = 0
        while True:
            try:
                peer, _ = self._server.accept()
            except BlockingIOError:
                return count
            peer.close()
            count += 1
