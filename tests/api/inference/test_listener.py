"""The listener by itself, with bounds so small that a test can wait for them."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
import uvloop

from parvis.api.inference.exchange import Exchange
from parvis.api.inference.limits import ListenerLimits
from parvis.api.inference.listener import Listener
from parvis.core.errors import Unavailable
from parvis.testing.raw_http import heard, request, responses, said

Handler = Callable[[Exchange], Coroutine[Any, Any, None]]
SMALL = ListenerLimits(
    body_bytes_max=1000, head_s_max=0.3, body_s_max=0.3, idle_s_max=0.3, stall_s_max=0.3, linger_s_max=0.3
)
SWEPT_S_MAX = 10.0
"""A deadline, a sweep a second, and a slow machine."""
EVENT = b"data: " + b"x" * 65_000 + b"\n\n"
CLOSE = "Connection: close"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"


class Running:
    """A listener in a thread of its own."""

    def __init__(self, handler: Handler, limits: ListenerLimits) -> None:
        self._ready = threading.Event()
        self._stop: asyncio.Event
        self.loop: asyncio.AbstractEventLoop
        self.listener: Listener
        self.refused: list[str] = []
        self.port = 0
        self._thread = threading.Thread(target=lambda: uvloop.run(self._run(handler, limits)))
        self._thread.start()
        self._ready.wait(10)

    def stop(self) -> None:
        with suppress(RuntimeError):  # it may have ended already
            self.drain()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def drain(self) -> None:
        """Begin to end."""
        self.loop.call_soon_threadsafe(self._stop.set)

    async def _run(self, handler: Handler, limits: ListenerLimits) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.listener = Listener(handler, limits, self.loop, lambda: time.time_ns() // 1_000_000, self.refused.append)
        sock = socket.create_server(("127.0.0.1", 0))
        self.port = sock.getsockname()[1]
        await self.listener.start(sock)
        self._ready.set()
        await self._stop.wait()
        await self.listener.drain(5)


async def hello(exchange: Exchange) -> None:
    exchange.answer(b'{"path":"%b"}' % exchange.call.path.encode())


@contextmanager
def listening(handler: Handler = hello, limits: ListenerLimits = SMALL) -> Iterator[Running]:
    running = Running(handler, limits)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def small() -> Iterator[Running]:
    with listening() as running:
        yield running


def ended_within(started_s: float, limit_s: float = SWEPT_S_MAX) -> bool:
    return time.monotonic() - started_s < limit_s


# ------------------------------------------------------------------------------------------------ deadlines


@pytest.mark.parametrize(
    "half",
    [
        b"G",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        POST + b"Content-Length: 10\r\n\r\n{",
        POST + b"Transfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["a letter", "half a head", "half a body", "no chunk"],
)
def test_half_a_request_is_told_that_it_came_too_slowly(small: Running, half: bytes) -> None:
    started_s = time.monotonic()
    [answer] = responses(said(small.port, half))
    assert ended_within(started_s)
    assert (answer.status, answer.error["code"]) == (408, "request_timeout")
    assert answer.headers["connection"] == "close"
    assert "x-request-id" in answer.headers


def test_a_drop_now_and_then_wins_no_time(small: Running) -> None:
    """The deadline is of the whole head, and of the whole body: it does not begin again with each byte."""
    started_s = time.monotonic()
    drops = [b"GET / HTTP/1.1\r\nHost: a\r\n", *[b"X: y\r\n"] * 60]
    [answer] = responses(said(small.port, *drops, pause_s=0.1))
    assert answer.status == 408
    body = [POST + b"Content-Length: 900\r\n\r\n", *[b" "] * 60]
    [answer] = responses(said(small.port, *body, pause_s=0.1))
    assert answer.status == 408
    assert ended_within(started_s, 2 * SWEPT_S_MAX)


def test_silence_is_ended_without_a_word(small: Running) -> None:
    started_s = time.monotonic()
    assert said(small.port) == b""
    assert len(responses(said(small.port, request()))) == 1
    assert ended_within(started_s, 2 * SWEPT_S_MAX)


def test_empty_lines_win_no_time(small: Running) -> None:
    """The parser skips them before a request, so they are no sign of one."""
    assert said(small.port, *[b"\r\n"] * 60, pause_s=0.1) == b""


def test_an_answer_may_take_longer_than_any_of_them() -> None:
    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(1.6)
        await hello(exchange)

    with listening(slow) as running:
        data = request(path="/one") + request("GET", "/two", CLOSE) + POST + b"Content-Length: 5\r\n\r\n"
        answers = responses(said(running.port, data))
        assert [answer.json()["path"] for answer in answers] == ["/one", "/two"]


# ---------------------------------------------------------------------------------------------- slow readers


class Tap:
    """A `Flow` that runs into an exchange as fast as it is let."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        # Little in the kernel's hands, so that the listener sees early what its client takes.
        exchange._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        self._open = asyncio.Event()
        self._open.set()
        self.cancelled = asyncio.Event()
        self.given = 0

    def pause(self) -> None:
        self._open.clear()

    def resume(self) -> None:
        self._open.set()

    def cancel(self) -> None:
        self._open.set()
        self.cancelled.set()

    async def run(self, events: int) -> None:
        for _ in range(events):
            await self._open.wait()
            if self.cancelled.is_set():
                return
            self._exchange.events(EVENT)
            self.given += len(EVENT)
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("events", "buffer_bytes"), [(10_000, 1 << 16), (55, 1 << 26)], ids=["in the middle", "at the end"]
)
def test_who_takes_nothing_for_too_long_has_left(events: int, buffer_bytes: int) -> None:
    """In the middle of a stream its buffer is full; at its end the story waits until all has been taken."""
    taps: list[Tap] = []

    async def pour(exchange: Exchange) -> None:
        taps.append(Tap(exchange))
        exchange.attach(taps[0])
        await taps[0].run(events)
        await exchange.drained()
        exchange.finish_stream(b"data: [DONE]\n\n")

    limits = replace(SMALL, write_buffer_bytes_max=buffer_bytes)
    with listening(pour, limits) as running, socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        peer.connect(("127.0.0.1", running.port))
        peer.sendall(request())
        started_s = time.monotonic()
        while not (taps and taps[0].cancelled.is_set()):
            assert ended_within(started_s)
            time.sleep(0.05)
        assert taps[0].given < 4_000_000


def test_who_reads_slowly_gets_all_of_it() -> None:
    """As long as something is taken now and then, nothing is cut."""

    async def pour(exchange: Exchange) -> None:
        tap = Tap(exchange)
        exchange.attach(tap)
        await tap.run(25)
        await exchange.drained()
        exchange.finish_stream(b"data: [DONE]\n\n")

    limits = replace(SMALL, stall_s_max=1.0, write_buffer_bytes_max=1 << 20)
    with listening(pour, limits) as running, socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        peer.connect(("127.0.0.1", running.port))
        peer.sendall(request("GET", "/", CLOSE))
        received = b""
        while data := peer.recv(1 << 14):
            received += data
            time.sleep(0.04)
    assert received.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert received.count(EVENT) == 25


# ---------------------------------------------------------------------------------------------------- bounds


def test_connections_are_bounded() -> None:
    limits = replace(SMALL, connections_max=3, idle_s_max=30)
    with listening(limits=limits) as running:
        peers = [socket.create_connection(("127.0.0.1", running.port), timeout=10) for _ in range(3)]
        for peer in peers:
            peer.sendall(request())
            assert peer.recv(1 << 16).startswith(b"HTTP/1.1 200")
        with socket.create_connection(("127.0.0.1", running.port), timeout=10) as one_more:
            assert one_more.recv(100) == b""
        peers[0].close()
        time.sleep(0.1)
        [answer] = responses(said(running.port, request("GET", "/", CLOSE)))
        assert answer.status == 200
        for peer in peers:
            peer.close()


@pytest.mark.parametrize("size", [1000, 1001])
def test_a_body_is_bounded_to_the_byte(small: Running, size: int) -> None:
    [answer] = responses(said(small.port, request("POST", "/", CLOSE, body=b" " * size)))
    assert answer.status == (200 if size == 1000 else 413)
    half = b"%x\r\n%b\r\n" % (500, b" " * 500)
    rest = b"%x\r\n%b\r\n0\r\n\r\n" % (size - 500, b" " * (size - 500))
    data = POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + half + rest
    [answer] = responses(said(small.port, data))
    assert answer.status == (200 if size == 1000 else 413)


# ------------------------------------------------------------------------------------------------- failures


def test_a_bug_is_a_500_in_the_protocols_shape(caplog: pytest.LogCaptureFixture) -> None:
    async def bug(exchange: Exchange) -> None:
        raise ZeroDivisionError(exchange.call.path)

    with listening(bug) as running:
        [answer] = responses(said(running.port, request(path="/secret")))
    assert answer.status == 500
    assert (answer.error["type"], answer.error["code"]) == ("server_error", "internal_error")
    assert answer.headers["x-request-id"] in answer.error["message"]
    [record] = caplog.records
    assert record.message == "bug while answering"
    assert "secret" not in str(record.__dict__)


def test_every_refusal_is_told_by_its_code() -> None:
    async def no(exchange: Exchange) -> None:
        raise Unavailable(f"Not now: {exchange.call.path}.", retry_after_s=1000)

    with listening(no) as running:
        [answer] = responses(said(running.port, request("GET", "/", CLOSE)))
        said(running.port, b"NONSENSE\r\n\r\n")
        assert running.refused == ["service_unavailable", "invalid_http"]
    assert (answer.status, answer.headers["retry-after"]) == (503, "60")


# -------------------------------------------------------------------------------------------------- draining


def test_a_draining_listener_finishes_what_runs() -> None:
    begun = threading.Event()

    async def slow(exchange: Exchange) -> None:
        begun.set()
        await asyncio.sleep(0.5)
        await hello(exchange)

    with (
        listening(slow, replace(SMALL, idle_s_max=60)) as running,
        socket.create_connection(("127.0.0.1", running.port), timeout=10) as idle,
        socket.create_connection(("127.0.0.1", running.port), timeout=10) as peer,
    ):
        peer.sendall(request())
        assert begun.wait(5)
        running.drain()
        [answer] = responses(heard(peer))
        assert idle.recv(100) == b""
    assert answer.status == 200
    assert answer.headers["connection"] == "close"
