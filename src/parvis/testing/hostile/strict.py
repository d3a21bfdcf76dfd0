"""HTTP/1.1 requests as RFC 9112 reads them at its strictest: the oracle for every other reader.

Whatever the grammar leaves to a recipient's kindness (bare line feeds, folded headers, a list of equal lengths,
absolute targets) is refused here. It is written to be compared, not to be fast, and shares no code with the service.
"""

import re
from dataclasses import dataclass, field
from typing import Literal, NoReturn

End = Literal["clean", "closed", "refused", "incomplete"]

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([!-~]+) HTTP/(1\.[01])")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([\t -~\x80-\xff]*)")
_TARGET = re.compile(rb"/[^#]*")
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::[0-9]*)?")
_LENGTH = re.compile(rb"[0-9]+")
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_WORD = rb"(?:" + _TOKEN + rb")?"
# Names and values of extensions may be empty here, against the grammar: no parser tells them, and they end nothing.
_CHUNK = re.compile(
    rb"([0-9A-Fa-f]+)(?:[ \t]*;[ \t]*" + _WORD + rb"(?:[ \t]*=[ \t]*(?:" + _WORD + rb"|" + _QUOTED + rb"))?)*"
)


class _Refused(Exception):
    """Nobody can say what these bytes mean."""


class _Incomplete(Exception):
    """More bytes are needed."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as it was meant."""

    method: bytes
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    """Names in lower case, values without the spaces around them."""
    body: bytes
    keep_alive: bool

    @property
    def path(self) -> str:
        return self.target.partition(b"?")[0].decode()

    @property
    def text(self) -> str:
        return self.body.decode("latin-1")

    def values(self, name: bytes) -> list[bytes]:
        return [value for known, value in self.headers if known == name]


@dataclass(slots=True)
class Reading:
    """What stands on one connection: whole requests, and how it ends after them."""

    requests: list[Request] = field(default_factory=list)
    end: End = "clean"
    rest: bytes = b""
    """What stands behind them and was not read."""


def read(data: bytes) -> Reading:
    """Every request of these bytes, up to the first that cannot be read in exactly one way."""
    reading, cursor = Reading(), _Cursor(data)
    while cursor.skip_empty_lines():
        reading.rest = cursor.rest
        try:
            request = _request(cursor)
        except _Refused:
            reading.end = "refused"
            return reading
        except _Incomplete:
            reading.end = "incomplete"
            return reading
        reading.requests.append(request)
        reading.rest = cursor.rest
        if not request.keep_alive:
            reading.end = "closed"
            return reading
    return reading


class _Cursor:
    """A place in the bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def rest(self) -> bytes:
        return self._data[self._at :]

    def skip_empty_lines(self) -> bool:
        """Empty lines before a request mean nothing, however they are spelled. False at the end."""
        while self._data[self._at : self._at + 1] in (b"\r", b"\n"):
            self._at += 1
        return self._at < len(self._data)

    def line(self) -> bytes:
        """Up to the next line end, which is CR LF and nothing else."""
        end = min(
            (at for at in (self._data.find(c, self._at) for c in (b"\r", b"\n")) if at >= 0),
            default=-1,
        )
        if end < 0 or self._data[end:] == b"\r":
            raise _Incomplete
        if self._data[end : end + 2] != b"\r\n":
            raise _Refused
        line, self._at = self._data[self._at : end], end + 2
        return line

    def take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) < count:
            raise _Incomplete
        self._at += count
        return taken


def _request(cursor: _Cursor) -> Request:
    line = _REQUEST_LINE.fullmatch(cursor.line()) or _refuse()
    method, target, version = line.groups()
    if not (_TARGET.fullmatch(target) or (method, target) == (b"OPTIONS", b"*")):
        _refuse()
    headers = _fields(cursor)
    request = Request(method, target, headers, b"", keep_alive=False)
    _check(request, version)
    body = _body(request, cursor, version)
    return Request(method, target, headers, body, keep_alive=_keeps(request, version))


def _fields(cursor: _Cursor) -> tuple[tuple[bytes, bytes], ...]:
    found = []
    while line := cursor.line():
        name, value = (_FIELD.fullmatch(line) or _refuse()).groups()
        found.append((name.lower(), value.rstrip(b" \t")))
    return tuple(found)


def _check(request: Request, version: bytes) -> None:
    """What must stand once, and what asks for another protocol."""
    hosts = request.values(b"host")
    if len(hosts) > 1 or (not hosts and version == b"1.1") or not all(map(_HOST.fullmatch, hosts)):
        _refuse()
    if len(request.values(b"authorization")) > 1:
        _refuse()
    if request.method == b"CONNECT" or (any(request.values(b"upgrade")) and b"upgrade" in _options(request)):
        _refuse()


def _body(request: Request, cursor: _Cursor, version: bytes) -> bytes:
    lengths, codings = (
        request.values(b"content-length"),
        request.values(b"transfer-encoding"),
    )
    if codings:
        if lengths or len(codings) > 1 or codings[0].lower() != b"chunked" or version == b"1.0":
            _refuse()
        return _chunks(cursor)
    if len(lengths) > 1 or not all(map(_LENGTH.fullmatch, lengths)):
        _refuse()
    return cursor.take(int(lengths[0][-4000:])) if lengths else b""


def _chunks(cursor: _Cursor) -> bytes:
    body = b""
    while size := int((_CHUNK.fullmatch(cursor.line()) or _refuse())[1], 16):
        body += cursor.take(size)
        if cursor.take(2) != b"\r\n":
            _refuse()
    _fields(cursor)  # trailers decide nothing
    return body


def _keeps(request: Request, version: bytes) -> bool:
    options = _options(request)
    return b"close" not in options and (version == b"1.1" or b"keep-alive" in options)


def _options(request: Request) -> set[bytes]:
    # Proxy-Connection is nobody's standard; who sends it means the same, and parsers obey it.
    listed = b",".join(request.values(b"connection") + request.values(b"proxy-connection")).lower().split(b",")
    return {option.strip(b" \t") for option in listed}


def _refuse() -> NoReturn:
    raise _Refused
