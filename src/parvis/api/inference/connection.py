"""One client connection: bytes to `Call`s, in order, and a way back for their answers.

llhttp (through httptools) parses strictly; what it leaves open is closed here. A request that is not unambiguous gets
400 and the connection ends. Requests that come while one is being answered wait, a few of them, unread beyond that;
the next is begun when its client has taken the answers before it. Every wait for the client has an end.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, cast

import httptools

from parvis.api.inference.call import Call
from parvis.api.inference.exchange import Exchange
from parvis.api.inference.limits import ListenerLimits
from parvis.core.errors import BadRequest, Failure, TooLarge, TooSlow

Handler = Callable[[Exchange], Coroutine[Any, Any, None]]
_VERSIONS = ("1.1", "1.0")


class Parser(Protocol):
    """What we use of httptools' parser."""

    def feed_data(self, data: bytes) -> None: ...

    def get_method(self) -> bytes: ...

    def get_http_version(self) -> str: ...

    def should_keep_alive(self) -> bool: ...

    def should_upgrade(self) -> bool: ...


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
        self._headers_max = listener.limits.headers_max
        self._head_bytes_max = listener.limits.head_bytes_max
        self._parser: Parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Call] = deque()
        self._exchange: Exchange | None = None
        self._reading: Call | None = None
        self._head_read = False
        self._body: bytes | bytearray = b""
        self._head_bytes = 0
        self._held_bytes = 0
        self._headers = 0
        self._hosts = 0
        self._url = b""
        self._refusal: Failure | None = None
        self._deaf = False
        self._held = False
        self._full = False
        self._unsent_bytes = 0
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
        if self._deaf:
            return
        head = None if self._head_read else self._reading
        try:
            self._parser.feed_data(data)
            if head is not None and head is self._reading and not self._head_read:
                self._hold(len(data))
        except httptools.HttpParserError:
            self._refuse(self._refusal or BadRequest("The request is not valid HTTP/1.1.", code="invalid_http"))
        except TooLarge as refusal:
            self._refuse(refusal)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._closing = True
        self._waiting.clear()
        self._listener.parted(self)
        if self._exchange is not None:
            self._exchange.client_left()

    def pause_writing(self) -> None:
        self._full = True
        self._unsent_bytes = self._transport.get_write_buffer_size() if self._transport is not None else 0
        self.deadline_s = self._listener.now() + self._limits.stall_s_max
        if self._exchange is not None:
            self._exchange.pause()

    def resume_writing(self) -> None:
        self._full = False
        self._allow(self._limits.idle_s_max)
        if self._exchange is not None:
            self._exchange.resume()
        else:
            self._next()

    # httptools

    def on_message_begin(self) -> None:
        now = self._listener.now()
        self._reading = Call(self._listener.new_request_id(), started_s=now)
        self._head_read = False
        self._body = b""
        self._head_bytes = self._held_bytes = self._headers = self._hosts = 0
        self._url = b""
        self._allow(self._limits.head_s_max)

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._head_bytes += len(url)
        if self._head_bytes > self._head_bytes_max:
            self._stop(self._head_too_large())

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers += 1
        self._head_bytes += len(name) + len(value) + 4
        if self._headers > self._headers_max or self._head_bytes > self._head_bytes_max:
            self._stop(self._head_too_large())
        # After the body come trailers: nothing of what decides may stand there.
        keep = None if self._head_read else _KEPT.get(name.lower())
        if keep is not None and self._reading is not None:
            keep(self, self._reading, value)

    def on_headers_complete(self) -> None:
        call = self._reading
        assert call is not None  # noqa: S101 - the parser begins every message
        self._head_read = True
        call.method = self._parser.get_method().decode("latin-1")
        version = self._parser.get_http_version()
        call.http_1_0 = version == "1.0"
        path = self._url.partition(b"?")[0]
        if not path.startswith(b"/") and path != b"*":
            self._stop(BadRequest("The request target must be a path.", code="invalid_http"))
        if self._hosts != 1 and not call.http_1_0:
            self._stop(BadRequest("Exactly one Host header is needed.", code="invalid_http"))
        if version not in _VERSIONS or (call.chunked and call.http_1_0):
            self._stop(BadRequest("The request is not valid HTTP/1.1.", code="invalid_http"))
        if self._parser.should_upgrade():
            self._stop(BadRequest("Protocol upgrades are not supported here.", code="upgrade_not_supported"))
        call.path = path.decode("latin-1")
        self._allow(self._limits.body_s_max)
        if call.expects_continue and not call.http_1_0 and self._transport is not None and not self.busy:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        if len(self._body) + len(data) > self._limits.body_bytes_max:
            self._stop(self._too_large())
        if not self._body:
            self._body = data
            return
        if isinstance(self._body, bytes):
            self._body = bytearray(self._body)
        self._body += data

    def on_message_complete(self) -> None:
        call, self._reading = self._reading, None
        assert call is not None  # noqa: S101 - the parser begins every message
        call.body = bytes(self._body)
        self._body = b""
        call.keep_alive = self._parser.should_keep_alive()
        self._deaf = not call.keep_alive
        self._take(call)

    # What the listener asks and tells.

    @property
    def busy(self) -> bool:
        """Whether a request is being answered, or waits for that."""
        return self._exchange is not None or bool(self._waiting)

    def answered(self) -> None:
        """The exchange is over: close, or take the next request."""
        exchange, self._exchange = self._exchange, None
        if self._transport is None or self._closing or exchange is None:
            return
        if exchange.call.refusal is not None:
            self._linger()
        elif not exchange.call.keep_alive:
            self.close()
        else:
            self._allow(self._limits.idle_s_max if self._reading is None else self._limits.body_s_max)
            self._next()

    def close(self) -> None:
        """End it after what was written has left."""
        self._closing = self._deaf = True
        self.deadline_s = self._listener.now() + self._limits.stall_s_max
        if self._transport is not None:
            self._transport.close()

    def expire(self) -> None:
        """A deadline has passed. Half a request gets 408, silence nothing; who takes no answer is cut off."""
        unsent_bytes = self._transport.get_write_buffer_size() if self._transport is not None else 0
        if self._full and unsent_bytes < self._unsent_bytes:
            self._unsent_bytes = unsent_bytes
            self.deadline_s = self._listener.now() + self._limits.stall_s_max
        elif self._full or self._closing:
            self._abort()
        elif self._reading is not None:
            self._refuse(TooSlow("The request did not arrive in time. Send it again, faster."))
        else:
            self.close()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _allow(self, wait_s: float) -> None:
        """The client has this long for its next step; no limit while it waits for us."""
        self.deadline_s = self._listener.now() + wait_s if self._exchange is None else float("inf")

    def _take(self, call: Call) -> None:
        """Answer this request in its turn."""
        self._waiting.append(call)
        self._next()
        if not self._held and self._transport is not None and self._waits_much():
            self._held = True
            self._transport.pause_reading()

    def _next(self) -> None:
        """Begin what waits, one at a time, and only while the client takes the answers."""
        if not self._waiting or self._exchange is not None or self._full or self._transport is None:
            return
        call = self._waiting.popleft()
        if self._held and not self._waits_much():
            self._held = False
            self._transport.resume_reading()
        self._exchange = exchange = Exchange(
            call, self._transport, self._listener.now, self._listener.is_draining, self._limits.stall_s_max
        )
        self.deadline_s = float("inf")
        self._listener.begin(self, exchange)

    def _waits_much(self) -> bool:
        """Whether no more shall be read until some of what waits is answered."""
        if len(self._waiting) >= self._limits.pipelined_max:
            return True
        return sum(len(call.body) for call in self._waiting) >= self._limits.body_bytes_max

    def _linger(self) -> None:
        """End it, but let the answer arrive: closing over bytes that nobody read would reset it away."""
        assert self._transport is not None  # noqa: S101 - a refusal was written to it
        self._closing = self._deaf = True
        self.deadline_s = self._listener.now() + self._limits.linger_s_max
        self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The body is larger than {self._limits.body_bytes_max} bytes. Send less.")

    def _hold(self, size: int) -> None:
        """The parser keeps a header to itself until it is whole, so what it was fed counts too."""
        self._held_bytes += size
        if self._held_bytes > self._limits.head_bytes_max:
            raise self._head_too_large()

    def _head_too_large(self) -> TooLarge:
        limits = self._limits
        return TooLarge(
            f"The head is larger than {limits.head_bytes_max} bytes, or has more than {limits.headers_max} headers.",
            code="headers_too_large",
        )

    def _stop(self, refusal: Failure) -> None:
        """Leave the parser at once: it turns any exception of a callback into its own error."""
        self._refusal = refusal
        raise refusal

    def _refuse(self, refusal: Failure) -> None:
        """Answer in its turn what cannot be read, then end: where the next request would begin is not known."""
        if self._deaf:
            return
        call = self._reading or Call(self._listener.new_request_id(), started_s=self._listener.now())
        self._reading = None
        self._deaf = True
        call.keep_alive = False
        call.refusal = refusal
        self._take(call)


def _keep_authorization(connection: Connection, call: Call, value: bytes) -> None:
    if call.authorization is not None:
        connection._stop(BadRequest("Send one Authorization header.", code="invalid_http"))  # noqa: SLF001 - its own
    call.authorization = value


def _keep_content_encoding(_: Connection, call: Call, value: bytes) -> None:
    call.content_encoding = value


def _keep_origin(_: Connection, call: Call, value: bytes) -> None:
    call.origin = value


def _keep_transfer_encoding(connection: Connection, call: Call, value: bytes) -> None:
    if value.lower() != b"chunked":
        connection._stop(BadRequest("Transfer-Encoding can only be chunked.", code="invalid_http"))  # noqa: SLF001 - its own
    call.chunked = True


def _check_length(connection: Connection, _: Call, value: bytes) -> None:
    """Refuse before the body comes; that the length is a number, and the only one, is the parser's to see."""
    if value.isdigit() and int(value) > connection._limits.body_bytes_max:  # noqa: SLF001 - its own
        connection._stop(connection._too_large())  # noqa: SLF001 - its own


def _keep_expect(_: Connection, call: Call, value: bytes) -> None:
    call.expects_continue = value.lower() == b"100-continue"


def _count_host(connection: Connection, _: Call, value: bytes) -> None:
    connection._hosts += 1 if value else 2  # noqa: SLF001 - its own


_KEPT: dict[bytes, Callable[[Connection, Call, bytes], None]] = {
    b"authorization": _keep_authorization,
    b"content-encoding": _keep_content_encoding,
    b"origin": _keep_origin,
    b"expect": _keep_expect,
    b"host": _count_host,
    b"transfer-encoding": _keep_transfer_encoding,
    b"content-length": _check_length,
}
