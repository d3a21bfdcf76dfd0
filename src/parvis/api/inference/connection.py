"""One client connection: bytes to `Call`s, in order, and a way back for their answers.

llhttp (through httptools) parses strictly; what it leaves open is closed here. A request that is not unambiguous gets
400 and the connection ends. Requests that come while one is being answered wait, a few of them, unread beyond that.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, cast

import httptools

from parvis.api.inference.call import Call
from parvis.api.inference.exchange import Exchange
from parvis.api.inference.limits import ListenerLimits
from parvis.core.errors import BadRequest, Failure, TooLarge

Handler = Callable[[Exchange], Coroutine[Any, Any, None]]
_METHODS_WITH_BODY = ("POST", "PUT", "PATCH")


class Parser(Protocol):
    """What we use of httptools' parser."""

    def feed_data(self, data: bytes) -> None: ...

    def get_method(self) -> bytes: ...

    def get_http_version(self) -> str: ...

    def should_keep_alive(self) -> bool: ...


class Owner(Protocol):
    """The listener, as its connections see it."""

    limits: ListenerLimits

    def now(self) -> float: ...

    def is_draining(self) -> bool: ...

    def new_request_id(self) -> str: ...

    def joined(self, connection: "Connection") -> None: ...

    def parted(self, connection: "Connection") -> None: ...

    def begin(self, connection: "Connection", exchange: Exchange) -> None: ...


class Connection(asyncio.Protocol):
    """Owned by its `Listener`. All calls come from the loop's thread."""

    def __init__(self, listener: Owner) -> None:
        self._listener = listener
        self._limits: ListenerLimits = listener.limits
        self._parser: Parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Call] = deque()
        self._exchange: Exchange | None = None
        self._reading: Call | None = None
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._head_bytes = 0
        self._headers = 0
        self._hosts = 0
        self._url = b""
        self._refusal: Failure | None = None
        self._closing = False
        self.deadline_s = 0.0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods, and not the base class.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self._limits.write_buffer_bytes_max, low=0)
        self.deadline_s = self._listener.now() + self._limits.head_s_max
        self._listener.joined(self)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        if self._exchange is None and self._reading is None:
            self.deadline_s = self._listener.now() + self._limits.head_s_max
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(BadRequest("Protocol upgrades are not supported here.", code="upgrade_not_supported"))
        except httptools.HttpParserError:
            self._refuse(self._refusal or BadRequest("The request is not valid HTTP/1.1.", code="invalid_http"))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._waiting.clear()
        self._listener.parted(self)
        if self._exchange is not None:
            self._exchange.client_left()

    def pause_writing(self) -> None:
        if self._exchange is not None:
            self._exchange.pause()

    def resume_writing(self) -> None:
        if self._exchange is not None:
            self._exchange.resume()

    # httptools

    def on_message_begin(self) -> None:
        self._reading = Call(self._listener.new_request_id(), started_s=self._listener.now())
        self._body.clear()
        self._body_bytes = self._head_bytes = self._headers = self._hosts = 0
        self._url = b""

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers += 1
        self._count_head(len(name) + len(value) + 4)
        if self._headers > self._limits.headers_max:
            self._stop(TooLarge(f"More than {self._limits.headers_max} headers.", code="headers_too_large"))
        keep = _KEPT.get(name.lower())
        if keep is not None and self._reading is not None:
            keep(self, self._reading, value)

    def on_headers_complete(self) -> None:
        call = self._reading
        assert call is not None  # noqa: S101 - the parser begins every message
        call.method = self._parser.get_method().decode("latin-1")
        call.http_1_0 = self._parser.get_http_version() == "1.0"
        path = self._url.partition(b"?")[0]
        if not path.startswith(b"/") and path != b"*":
            self._stop(BadRequest("The request target must be a path.", code="invalid_http"))
        if self._hosts != 1 and not call.http_1_0:
            self._stop(BadRequest("Exactly one Host header is needed.", code="invalid_http"))
        call.path = path.decode("latin-1")
        self.deadline_s = self._listener.now() + self._limits.body_s_max
        if call.expects_continue and self._transport is not None and self._exchange is None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes > self._limits.body_bytes_max:
            self._stop(TooLarge(f"The body is larger than {self._limits.body_bytes_max} bytes. Send less."))
        self._body.append(data)

    def on_message_complete(self) -> None:
        call, self._reading = self._reading, None
        assert call is not None  # noqa: S101 - the parser begins every message
        call.body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        call.keep_alive = self._parser.should_keep_alive()
        if self._exchange is None:
            self._begin(call)
        else:
            self._waiting.append(call)
            if len(self._waiting) >= self._limits.pipelined_max and self._transport is not None:
                self._transport.pause_reading()

    # What the listener asks and tells.

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self._exchange is not None

    def answered(self) -> None:
        """The exchange is over: close, or take the next request."""
        exchange, self._exchange = self._exchange, None
        if self._transport is None or self._closing or exchange is None:
            return
        self.deadline_s = self._listener.now() + self._limits.idle_s_max
        if not exchange.call.keep_alive:
            self.close()
        elif self._waiting:
            self._transport.resume_reading()
            self._begin(self._waiting.popleft())

    def close(self) -> None:
        """End it after what was written has left."""
        self._closing = True
        if self._transport is not None:
            self._transport.close()

    def expire(self) -> None:
        """A deadline has passed. Half a request gets 408, silence nothing."""
        if self._transport is not None and self._reading is not None and not self.busy:
            self._transport.write(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        self.close()

    def _begin(self, call: Call) -> None:
        assert self._transport is not None  # noqa: S101 - a message came through it
        self.deadline_s = float("inf")
        self._exchange = Exchange(call, self._transport, self._listener.now, self._listener.is_draining)
        self._listener.begin(self, self._exchange)

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.head_bytes_max:
            self._stop(
                TooLarge(f"The head is larger than {self._limits.head_bytes_max} bytes.", code="headers_too_large")
            )

    def _stop(self, refusal: Failure) -> None:
        """Leave the parser at once: it turns any exception of a callback into its own error."""
        self._refusal = refusal
        raise refusal

    def _refuse(self, refusal: Failure) -> None:
        """Answer what cannot be read, and end: where the next request would begin is not known."""
        call = self._reading or Call(self._listener.new_request_id(), started_s=self._listener.now())
        call.keep_alive = False
        if self._transport is not None and self._exchange is None:
            Exchange(call, self._transport, self._listener.now, self._listener.is_draining).fail(refusal)
        self.close()


def _keep_authorization(connection: Connection, call: Call, value: bytes) -> None:
    if call.authorization is not None:
        connection._stop(BadRequest("Send one Authorization header.", code="invalid_http"))  # noqa: SLF001 - its own
    call.authorization = value


def _keep_content_type(_: Connection, call: Call, value: bytes) -> None:
    call.content_type = value


def _keep_content_encoding(_: Connection, call: Call, value: bytes) -> None:
    call.content_encoding = value


def _keep_origin(_: Connection, call: Call, value: bytes) -> None:
    call.origin = value


def _keep_expect(_: Connection, call: Call, value: bytes) -> None:
    call.expects_continue = value.lower() == b"100-continue"


def _count_host(connection: Connection, _: Call, value: bytes) -> None:
    connection._hosts += 1 if value else 2  # noqa: SLF001 - its own


_KEPT: dict[bytes, Callable[[Connection, Call, bytes], None]] = {
    b"authorization": _keep_authorization,
    b"content-type": _keep_content_type,
    b"content-encoding": _keep_content_encoding,
    b"origin": _keep_origin,
    b"expect": _keep_expect,
    b"host": _count_host,
}
