"""Listens in on a Unix socket: whoever connects from now on is passed through to the server, and all of it is kept.

with Eavesdropper(home / "run" / "control.sock") as link:
    ...  # a gateway that connects anew
link.streams
"""

import socket
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_READ_BYTES = 1 << 16


class Eavesdropper:
    """Stands in the place of the socket's file, for good. What was connected before is not heard."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._behind = path.with_name(path.name + ".behind")
        self._server = socket.socket(socket.AF_UNIX)
        self._streams: list[bytearray] = []

    @property
    def streams(self) -> list[bytes]:
        """Everything that was said so far, one stream for each direction of each connection."""
        return [bytes(stream) for stream in self._streams]

    def __enter__(self) -> Self:
        self._path.rename(self._behind)
        self._server.bind(str(self._path))
        self._server.listen()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                near, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, socket.socket(socket.AF_UNIX) as far, suppress(OSError):
            far.connect(str(self._behind))
            back = threading.Thread(target=self._pass_on, args=(far, near), daemon=True)
            back.start()
            self._pass_on(near, far)
            back.join()

    def _pass_on(self, here: socket.socket, there: socket.socket) -> None:
        """Until either side closes; then neither can use the connection any more."""
        stream = bytearray()
        self._streams.append(stream)
        with suppress(OSError):
            while data := here.recv(_READ_BYTES):
                stream += data
                there.sendall(data)
        for side in (here, there):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
