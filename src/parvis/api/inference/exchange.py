"""The answer to one request: the `Sink` of its story, and the writer of its HTTP response."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from parvis.api.inference.accepting import reset
from parvis.api.inference.call import Call
from parvis.api.inference.limits import earned_s
from parvis.api.rate_headers import rate_headers
from parvis.api.statuses import headers_of, status_of
from parvis.core.errors import Failure
from parvis.domain.metering.records import Outcome
from parvis.flows.hold import Hold
from parvis.flows.ports import Flow
from parvis.wire.chunked import framed
from parvis.wire.problem import problem_json

EXPOSED = (
    b"x-request-id, openai-processing-ms, openai-version, retry-after, x-should-retry, "
    b"x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
    b"x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens, "
    b"idempotent-replayed, original-request, x-parvis-cost, x-parvis-clipped, x-parvis-model"
)
_JSON = (b"content-type", b"application/json")
_JSON_ONLY = (_JSON,)
_JSON_LINE = b"content-type: application/json\r\n"
_STREAM_HEADERS = (
    b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"
)
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
_NO_CONTENT = HTTPStatus.NO_CONTENT.value
"""Python 3.11 looks for it each time that it is asked for a member."""
_DRAIN_POLL_S_MAX = 0.05


class Exchange:
    """Writes one response. Never raises for a client that has left; remembers it instead."""

    __slots__ = (
        "_added",
        "_cut",
        "_draining",
        "_flow",
        "_now",
        "_stall_s_max",
        "_streaming",
        "_transport",
        "call",
        "left",
        "status",
    )

    def __init__(
        self,
        call: Call,
        transport: asyncio.Transport,
        now: Callable[[], float],
        draining: Callable[[], bool],
        stall_s_max: float,
    ) -> None:
        self.call = call
        self.left = False
        self.status = 0
        self._transport = transport
        self._now = now
        self._draining = draining
        self._stall_s_max = stall_s_max
        self._flow: Flow | None = None
        self._streaming = False
        self._cut = False
        self._added = b""

    # The Sink of the story.

    def attach(self, flow: Flow) -> None:
        self._flow = flow
        if self.left:
            flow.cancel()
        elif self._cut:
            flow.cancel(Outcome.GATEWAY_LOST)

    def events(self, data: bytes) -> None:
        if self.left:
            return
        if self._streaming:
            self._transport.write(data if self.call.http_1_0 else framed(data))
        else:
            self._start_stream(data)

    def admitted(self, hold: Hold) -> None:
        passage = hold.passage
        if passage.requests is not None or passage.tokens is not None:
            for name, value in rate_headers(passage.requests, passage.tokens):
                self.add_header(name, value)
        if hold.clipped_by:
            self.add_header(b"x-parvis-clipped", hold.clipped.encode())

    def chosen(self, model_id: str, why: str) -> None:
        self.add_header(b"x-parvis-model", f"{model_id}; {why}".encode())

    def flushed(self) -> bool:
        return self.left or self._transport.get_write_buffer_size() == 0

    async def drained(self) -> None:
        pause_s, since_s = 0.0, self._now()
        whole_bytes = self._transport.get_write_buffer_size()
        while not self.flushed():
            taken_bytes = whole_bytes - self._transport.get_write_buffer_size()
            if self._now() - since_s > self._stall_s_max + earned_s(taken_bytes):
                reset(self._transport)  # who takes so little for so long has left
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2 + 0.0005, _DRAIN_POLL_S_MAX)

    # What the connection tells.

    def client_left(self) -> None:
        self.left = True
        if self._flow is not None:
            self._flow.cancel()

    def cut_short(self) -> None:
        """We end first: stop the engine. The story settles what was delivered, and the client is told."""
        self._cut = True
        if self._flow is not None:
            self._flow.cancel(Outcome.GATEWAY_LOST)

    def pause(self) -> None:
        if self._flow is not None:
            self._flow.pause()

    def resume(self) -> None:
        if self._flow is not None:
            self._flow.resume()

    def ended(self) -> None:
        """Nothing more will be written. The flow knows us: a circle that only the collector would find."""
        self._flow = None

    # What the routes say.

    def add_header(self, name: bytes, value: bytes) -> None:
        """One more header, whatever the answer will be."""
        self._added += b"%b: %b\r\n" % (name, value)

    def answer(self, body: bytes, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = _JSON_ONLY) -> None:
        """A whole response."""
        if self.left:
            return
        self.status = status
        lines = _JSON_LINE if headers is _JSON_ONLY else b"".join([b"%b: %b\r\n" % header for header in headers])
        length = b"" if status == _NO_CONTENT else b"content-length: %d\r\n" % len(body)
        shown = b"" if self.call.method == "HEAD" else body
        self._transport.write(self._head(status) + lines + length + b"\r\n" + shown)

    def finish_stream(self, last: bytes) -> None:
        """The last events, then the end of the body."""
        if self.left or self.call.http_1_0 or not self._streaming:
            self.events(last)
            last = b""
        if not self.left and not self.call.http_1_0:
            self._transport.write((framed(last) if last else b"") + b"0\r\n\r\n")

    def fail(self, failure: Failure) -> None:
        """An error response; in a stream that has begun, one error event and the end, without `[DONE]`."""
        status, kind = status_of(failure)
        problem = problem_json(str(failure), kind, failure.code, failure.param)
        if self._streaming:
            self.finish_stream(b"data: %b\n\n" % problem)
        else:
            self.answer(problem, status, (_JSON, *headers_of(failure)))

    def _start_stream(self, data: bytes) -> None:
        self._streaming = True
        self.status = HTTPStatus.OK
        if self.call.http_1_0:
            self.call.keep_alive = False
            self._transport.write(self._head(200) + _STREAM_HEADERS + b"\r\n" + data)
        else:
            head = self._head(200) + _STREAM_HEADERS
            self._transport.write(head + b"transfer-encoding: chunked\r\n\r\n" + framed(data))

    def _head(self, status: int) -> bytes:
        """Status line and the headers that every response has, errors too."""
        call = self.call
        if self._draining():
            call.keep_alive = False
        head = b"HTTP/1.1 %d %b\r\nx-request-id: %b\r\nopenai-processing-ms: %d\r\nopenai-version: 2020-10-01\r\n" % (
            status,
            _REASONS[status],
            call.request_id.encode(),
            int((self._now() - call.started_s) * 1000),
        )
        if call.origin is not None:
            head += b"access-control-allow-origin: *\r\naccess-control-expose-headers: " + EXPOSED + b"\r\n"
        if self._added:
            head += self._added
        return head if call.keep_alive else head + b"connection: close\r\n"
