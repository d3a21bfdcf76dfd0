"""HTTP by hand: exact bytes to a server, every byte of its answers back. For what no proper client would send.

[first, second] = responses(said(port, GET + GET, CLOSE))
"""

import io
import socket
import time
from http.client import HTTPResponse
from typing import IO, Any, NamedTuple

import msgspec

Json = dict[str, Any]
SILENCE_S_MAX = 20.0


class Response(NamedTuple):
    """One answer. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Json:
        return msgspec.json.decode(self.body, type=Json)

    @property
    def error(self) -> Json:
        """The error of a body that holds one in the protocol's shape. Raises AssertionError."""
        body = self.json()
        assert body.keys() == {"error"}, body
        assert body["error"].keys() == {"message", "type", "param", "code"}, body
        error: Json = body["error"]
        return error


def request(
    method: str = "GET",
    path: str = "/v1/models",
    *headers: str,
    body: bytes = b"",
    key: str = "",
    host: str = "localhost",
) -> bytes:
    """A proper request; `headers` are whole lines."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers]
    lines += [f"Authorization: Bearer {key}"] if key else []
    lines += [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def said(port: int, *parts: bytes, pause_s: float = 0.0, within_s: float = SILENCE_S_MAX) -> bytes:
    """Send the parts, one by one, and read until the server closes. Raises TimeoutError when it does not.

    A server that closes while we still send is normal here.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=within_s) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for part in parts:
                peer.sendall(part)
                time.sleep(pause_s)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return heard(peer)


def heard(peer: socket.socket) -> bytes:
    """Everything until the server closes. Raises TimeoutError, and ConnectionResetError for a rude end."""
    received = b""
    while data := peer.recv(1 << 16):
        received += data
    return received


def responses(data: bytes, *methods: str) -> list[Response]:
    """The answers in these bytes, in order. `methods` are those that were asked with, GET where none is given."""
    file = _Kept(data)
    found: list[Response] = []
    while file.tell() < len(data):
        method = methods[len(found)] if len(found) < len(methods) else "GET"
        response = HTTPResponse(_Heard(file), method=method)  # type: ignore[arg-type]  # all that it asks of a socket
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        found.append(Response(response.status, headers, response.read()))
    return found


class _Kept(io.BytesIO):
    """Stays open when a response has been read from it: the next one follows."""

    def close(self) -> None:
        """Nothing is to be given back."""


class _Heard(NamedTuple):
    """What `http.client` takes for a socket."""

    file: IO[bytes]

    def makefile(self, *_: object) -> IO[bytes]:
        return self.file
