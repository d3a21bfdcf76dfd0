"""One client connection: bytes to `Call`s, in order, and a way back for their answers.

llhttp (through httptools) parses strictly; what it leaves open is closed here. A request that is not unambiguous gets
400 and the connection ends. Requests that come while one is being answered wait, a few of them, unread beyond that;
the next is begun when its client has taken the answers before it. Every wait for the client has an end, and what
moves in between does not put it off: bytes buy time at a rate (`earned_s`), so that a byte now and then buys none.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, cast

import httptools

from parvis.api.inference.accepting import UNSENT_BYTES_MAX, reset
from parvis.api.inference.call import Call
from parvis.api.inference.exchange import Exchange
from parvis.api.inference.familiar import TRIES_MAX, FamiliarHead, familiar
from parvis.api.inference.fields import FIELDS
from parvis.api.inference.limits import LONG_BODIES, ListenerLimits, earned_s
from parvis.api.inference.places import Place
from parvis.api.inference.strictness import (
    CHUNKS_MAX,
    FRAMING_BYTES_MAX,
    NOT_IN_TRAILERS,
    is_target,
)
from parvis.core.errors import BadRequest, Failure, TooLarge, TooSlow, Unavailable

Handler = Callable[[Exchange], Coroutine[Any, Any, None]]
_VERSIONS = ("1.1", "1.0")
_NEVER_S = float("inf")
_SPENT = httptools.HttpRequestParser(object())
"""What a connection that has ended holds instead of its own."""


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

    def keep(self, change_bytes: int) -> bool: ...


class Connection(asyncio.Protocol):
    """Owned by its `Listener`. All calls come from the loop's thread."""

    def __init__(self, listener: Owner, place: Place) -> None:
        self.place: Place | None = place
        self._listener = listener
        self._limits: ListenerLimits = listener.limits
        self._headers_max = listener.limits.headers_max
        self._head_bytes_max = listener.limits.head_bytes_max
        self._parser: Parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._address = ""
        self._waiting: deque[Call] = deque()
        self._exchange: Exchange | None = None
        self._reading: Call | None = None
        self._head_read = False
        self._body: bytes | bytearray = b""
        self._segment: bytes = b""
        self._early: bytes = b""
        self._line_end = 0
        self._idle = self._first = True
        self._head_bytes = 0
        self._held_bytes = 0
        self._headers = 0
        self._chunks = 0
        self._familiar: FamiliarHead | None = None
        self._tries = 0
        self._url = b""
        self._refusal: Failure | None = None
        self._deaf = False
        self._held = False
        self._full = False
        self._unsent_bytes = 0
        self._full_since_s = 0.0
        self._stalled_s = 0.0
        self._kept_bytes = 0
        self._closing = False
        self.deadline_s = 0.0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods, and not the base class.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self._limits.write_buffer_bytes_max, low=0)
        peer = self._transport.get_extra_info("peername")
        self._address = str(peer[0]) if peer else ""
        self.deadline_s = self._listener.now() + self._limits.head_s_max
        self._listener.joined(self)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if not self._knows(data):
            self._read(data)
        if (self._reading is not None or self._waiting or self._kept_bytes) and not self._keep():
            self._waiting.clear()
            self._refuse(Unavailable("Too many requests are being received. Try again shortly.", retry_after_s=1))

    def _knows(self, data: bytes) -> bool:
        """Take a whole request whose head came before, without the parser, which is between two requests."""
        if self._familiar is None or self._reading is not None:
            return False
        body = self._familiar.body(data)
        if not 0 < len(body) <= self._limits.body_bytes_max:
            return False
        self._tries = 0
        self._take(self._familiar.said.again(self._listener.new_request_id(), self._listener.now(), body))
        return True

    def _read(self, data: bytes) -> None:
        begun = self._reading
        self._segment, self._idle = data, begun is None
        if not self._early:
            self._line_end = 0
        try:
            self._parser.feed_data(data)
            if self._reading is not None:
                self._await_more(data, new=self._reading is not begun)
        except httptools.HttpParserError:
            self._refuse(self._refusal or BadRequest("The request is not valid HTTP/1.1.", code="invalid_http"))
        except TooLarge as refusal:
            self._refuse(refusal)
        self._segment = b""

    def eof_received(self) -> bool:
        # It is closed now; what was written may still leave, but the client cannot take its time.
        self._closing = True
        self.deadline_s = self._listener.now() + self._limits.stall_s_max
        if self._exchange is not None:
            self._exchange.client_left()  # the engine stops now, and not when what was written has been taken
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._closing = True
        self._waiting.clear()
        self._body = self._early = b""
        self._keep()
        self._listener.parted(self)
        # It holds us as we hold it, and a gateway looks for such circles too seldom for a crowd that comes and goes.
        self._parser = _SPENT
        if self._exchange is not None:
            self._exchange.client_left()

    def pause_writing(self) -> None:
        self._full = True
        self._unsent_bytes = self._transport.get_write_buffer_size() if self._transport is not None else 0
        self._full_since_s = self._listener.now()
        self.deadline_s = self._full_since_s + self._limits.stall_s_max - self._stalled_s
        if self._exchange is not None:
            self._exchange.pause()

    def resume_writing(self) -> None:
        self._full = False
        # Before there was room for our bytes, half of those that the kernel kept were taken too.
        taken_bytes = self._unsent_bytes + UNSENT_BYTES_MAX // 2
        stalled_s = self._listener.now() - self._full_since_s - earned_s(taken_bytes)
        self._stalled_s = max(0.0, self._stalled_s + stalled_s)
        self._allow(self._wait_s_max())
        if self._exchange is not None:
            self._exchange.resume()
        else:
            self._next()

    # httptools

    def on_message_begin(self) -> None:
        now = self._listener.now()
        self._reading = Call(self._listener.new_request_id(), started_s=now, address=self._address)
        self._head_read = False
        self._body = self._early = self._url = b""
        self._first, self._idle = self._idle, False
        self._head_bytes = self._held_bytes = self._headers = self._chunks = 0
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
        if self._head_read:
            # After the body come trailers. They decide nothing here, but the parser would obey some.
            if name.lower() in NOT_IN_TRAILERS:
                self._stop(BadRequest("The trailers hold what only the head may say.", code="invalid_http"))
            return
        field, call = FIELDS.get(name.lower()), self._reading
        if field is None or call is None:
            return
        try:
            field(call, value)
        except BadRequest as refusal:
            self._stop(refusal)
        if call.length > self._limits.body_bytes_max and call.length > self._body_bytes_max():
            self._stop(self._too_large())  # before the body comes

    def on_headers_complete(self) -> None:
        call = self._reading
        assert call is not None  # noqa: S101 - the parser begins every message
        self._head_read = True
        method = self._parser.get_method()
        call.method = method.decode("latin-1")
        version = self._parser.get_http_version()
        call.http_1_0 = version == "1.0"
        if not is_target(self._url, method):
            self._stop(BadRequest("The request target must be a path.", code="invalid_http"))
        if call.hosts != 1 and not (call.http_1_0 and call.hosts == 0):
            self._stop(BadRequest("Exactly one Host header is needed, with a valid name.", code="invalid_http"))
        if not self._is_plain(method) or version not in _VERSIONS or (call.chunked and call.http_1_0):
            self._stop(BadRequest("The request is not valid HTTP/1.1.", code="invalid_http"))
        if self._parser.should_upgrade():
            self._stop(BadRequest("Protocol upgrades are not supported here.", code="upgrade_not_supported"))
        call.path = self._url.partition(b"?")[0].decode("latin-1")
        self._allow(self._limits.body_s_max)
        if call.expects_continue and not call.http_1_0 and self._transport is not None and not self.busy:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        length = len(self._body) + len(data)
        if length > self._limits.body_bytes_max and length > self._body_bytes_max():
            self._stop(self._too_large())
        if not self._body:
            self._body = data
            return
        if isinstance(self._body, bytes):
            self._body = bytearray(self._body)
        self._body += data

    def on_chunk_header(self) -> None:
        self._chunks += 1
        if self._chunks > CHUNKS_MAX:
            self._stop(self._too_finely_cut())

    def on_message_complete(self) -> None:
        call, self._reading = self._reading, None
        assert call is not None  # noqa: S101 - the parser begins every message
        call.body = bytes(self._body)
        self._body = b""
        parser_goes_on = self._parser.should_keep_alive()
        call.keep_alive = parser_goes_on and not call.closes
        self._deaf = not call.keep_alive
        if not self._early and self._tries < TRIES_MAX:
            self._tries += 1
            self._familiar = familiar(call, self._segment) or self._familiar
        self._take(call)
        if parser_goes_on and self._deaf:
            raise EOFError  # the parser's way to be stopped

    # What the listener asks and tells.

    @property
    def busy(self) -> bool:
        """Whether a request is being answered, or waits for that."""
        return self._exchange is not None or bool(self._waiting)

    def answered(self) -> None:
        """The exchange is over: close, or take the next request."""
        exchange, self._exchange = self._exchange, None
        self._stalled_s = 0.0
        if self._transport is None or self._closing or exchange is None:
            return
        if exchange.call.refusal is not None or not exchange.call.keep_alive:
            self._linger(refused=exchange.call.refusal is not None)
        else:
            self._allow(self._limits.idle_s_max if self._reading is None else self._wait_s_max())
            self._next()

    def close(self) -> None:
        """End it after what was written has left."""
        self._closing = self._deaf = True
        self.deadline_s = self._listener.now() + self._limits.stall_s_max
        if self._transport is not None:
            self._transport.close()

    def expire(self) -> None:
        """The deadline has passed. Half a request gets 408, silence nothing; who takes no answer is cut off."""
        if self._listener.now() < self.deadline_s + earned_s(self._moved_bytes()):
            return  # the client lives on time that it has bought
        if self._full or self._closing:
            self.abort()
        elif self._reading is not None:
            self._refuse(TooSlow("The request did not arrive in time. Send it again, faster."))
        else:
            self.close()

    def retire(self) -> None:
        """No more requests are wanted: end it now, or after the answer that is under way."""
        if self._exchange is not None:
            self._exchange.call.keep_alive = False
        elif not self._waiting:
            self.close()

    def cut_short(self) -> None:
        """We end before the answer does. Its client is told, and pays for what it got."""
        self._waiting.clear()
        if self._exchange is not None:
            self._exchange.cut_short()
        else:
            self.close()

    def abort(self) -> None:
        """End it now."""
        if self._transport is not None:
            reset(self._transport)

    def _wait_s_max(self) -> float:
        """For the client's next step."""
        if self._reading is None:
            return self._limits.idle_s_max
        return self._limits.body_s_max if self._head_read else self._limits.head_s_max

    def _moved_bytes(self) -> int:
        """What the client has sent or taken of what it is waited for."""
        if self._full and self._transport is not None:
            return self._unsent_bytes - self._transport.get_write_buffer_size()
        return len(self._body) if self._reading is not None else 0

    def _allow(self, wait_s: float) -> None:
        """The client has this long for its next step; no limit while it waits for us. First it takes what it got."""
        if not self._full:
            self.deadline_s = self._listener.now() + wait_s if self._exchange is None else _NEVER_S

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
        if self._kept_bytes:
            self._keep()
        if self._held and not self._waits_much():
            self._held = False
            self._transport.resume_reading()
        self._exchange = exchange = Exchange(
            call, self._transport, self._listener.now, self._listener.is_draining, self._limits.stall_s_max
        )
        self.deadline_s = _NEVER_S
        self._listener.begin(self, exchange)

    def _waits_much(self) -> bool:
        """Whether no more shall be read until some of what waits is answered."""
        if not self._waiting:
            return False
        if len(self._waiting) >= self._limits.pipelined_max:
            return True
        return sum(len(call.body) for call in self._waiting) >= self._limits.body_bytes_max

    def _keep(self) -> bool:
        """Tell what is kept of requests that nobody answers yet. False when it is more than all may keep together."""
        kept = len(self._early) + len(self._body) + sum(len(call.body) for call in self._waiting)
        change, self._kept_bytes = kept - self._kept_bytes, kept
        return self._listener.keep(change) or change <= 0

    def _linger(self, *, refused: bool) -> None:
        """End it, but let the answer arrive: closing over bytes that nobody read would reset it away."""
        assert self._transport is not None  # noqa: S101 - a refusal was written to it
        self._closing = self._deaf = True
        taken = self._transport.get_write_buffer_size() == 0
        self.deadline_s = self._listener.now() + (self._limits.linger_s_max if taken else self._limits.stall_s_max)
        self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        elif not refused:  # over TLS only closing ends our side, and who was answered has nothing more to send
            self._transport.close()

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The body is larger than {self._body_bytes_max()} bytes. Send less.")

    def _body_bytes_max(self) -> int:
        """Of the request that is being read."""
        long = self._url.partition(b"?")[0].rstrip(b"/") in LONG_BODIES
        return max(self._limits.audio_bytes_max, self._limits.body_bytes_max) if long else self._limits.body_bytes_max

    def _is_plain(self, method: bytes) -> bool:
        """Whether the request line is spelled with HTTP's name and single spaces.

        Behind another request of the same segment its place is not known: there it must stand somewhere.
        """
        early, self._early = self._early, b""
        raw = early + self._segment if early else self._segment
        if self._first:
            if raw[0] in b"\r\n":
                raw = raw.lstrip(b"\r\n")
            end = len(method) + 1 + len(self._url)
            self._line_end = max(end - len(early), 0)
            return raw.startswith(self._url, len(method) + 1) and raw.startswith(b" HTTP/", end)
        line = b"%b %b HTTP/" % (method, self._url)
        found = raw.find(line, self._line_end)
        self._line_end = max(found + len(line) - len(early), 0)
        return found >= 0

    def _too_finely_cut(self) -> TooLarge:
        return TooLarge(f"The body comes in over {CHUNKS_MAX} chunks, or in chunks of little else than extensions.")

    def _await_more(self, data: bytes, *, new: bool) -> None:
        """A request is not whole. The parser keeps a header, or a chunk's, to itself, so what it was fed counts too."""
        if not self._head_read:
            self._early += data
        if new:
            return
        self._held_bytes += len(data)
        if not self._head_read and self._held_bytes > self._limits.head_bytes_max:
            raise self._head_too_large()
        if self._held_bytes - len(self._body) > FRAMING_BYTES_MAX:
            raise self._too_finely_cut()

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
        self._body = self._early = b""
        self._deaf = True
        call.keep_alive = False
        call.refusal = refusal.with_traceback(None)  # its frames hold us
        self._take(call)
