"""The listener by itself, with bounds so small that a test can wait for them."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from parvis.api.inference.exchange import Exchange
from parvis.core.errors import Unavailable
from parvis.domain.metering.records import Outcome
from parvis.testing.listening import LASTING, SMALL, RunningListener, hello, listening
from parvis.testing.raw_http import heard, request, responses, said
from parvis.testing.service import wait_until

SWEPT_S_MAX = 10.0
"""A deadline, a sweep a second, and a slow machine."""
EVENT = b"data: " + b"x" * 65_000 + b"\n\n"
CLOSE = "Connection: close"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture(scope="module")
def small() -> Iterator[RunningListener]:
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
def test_half_a_request_is_told_that_it_came_too_slowly(small: RunningListener, half: bytes) -> None:
    started_s = time.monotonic()
    [answer] = responses(said(small.port, half))
    assert ended_within(started_s)
    assert (answer.status, answer.error["code"]) == (408, "request_timeout")
    assert answer.headers["connection"] == "close"
    assert "x-request-id" in answer.headers


def test_a_drop_now_and_then_wins_no_time(small: RunningListener) -> None:
    """The deadline is of the whole head, and of the whole body: it does not begin again with each byte."""
    started_s = time.monotonic()
    drops = [b"GET / HTTP/1.1\r\nHost: a\r\n", *[b"X: y\r\n"] * 60]
    [answer] = responses(said(small.port, *drops, pause_s=0.1))
    assert answer.status == 408
    body = [POST + b"Content-Length: 900\r\n\r\n", *[b" "] * 60]
    [answer] = responses(said(small.port, *body, pause_s=0.1))
    assert answer.status == 408
    assert ended_within(started_s, 2 * SWEPT_S_MAX)


def test_what_is_sent_of_a_body_buys_time() -> None:
    """A long body over a slow line arrives, at a rate that is no attack."""
    body = b" " * 80_000
    parts = [body[start : start + 2_000] for start in range(0, len(body), 2_000)]
    head = POST + b"Connection: close\r\nContent-Length: 80000\r\n\r\n"
    with listening(limits=replace(SMALL, body_bytes_max=80_000)) as running:
        started_s = time.monotonic()
        [answer] = responses(said(running.port, head, *parts, pause_s=0.06))
        assert answer.status == 200
        assert time.monotonic() - started_s > 1.5 + SMALL.body_s_max


def test_silence_is_ended_without_a_word(small: RunningListener) -> None:
    started_s = time.monotonic()
    assert said(small.port) == b""
    assert len(responses(said(small.port, request()))) == 1
    assert ended_within(started_s, 2 * SWEPT_S_MAX)


def test_empty_lines_win_no_time(small: RunningListener) -> None:
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
        self._open = asyncio.Event()
        self._open.set()
        self.cancelled = threading.Event()
        self.given = 0

    def pause(self) -> None:
        self._open.clear()

    def resume(self) -> None:
        self._open.set()

    def cancel(self, outcome: Outcome = Outcome.CLIENT_LEFT) -> None:  # noqa: ARG002 - the signature of `Flow`; this answer ends alike for each outcome
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


class Taps:
    """A handler that pours so many events to each client."""

    def __init__(self, events: int) -> None:
        self._events = events
        self.open: list[Tap] = []

    async def __call__(self, exchange: Exchange) -> None:
        tap = Tap(exchange)
        self.open.append(tap)
        exchange.attach(tap)
        await tap.run(self._events)
        await exchange.drained()
        exchange.finish_stream(b"data: [DONE]\n\n")


def connected(running: RunningListener, tls: Any, *, encrypted: bool) -> socket.socket:
    """A client whose kernel takes little for it."""
    if encrypted:
        secret: socket.socket = tls.connect(running.port, receive_bytes=1 << 14)
        return secret
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
    peer.settimeout(30)
    peer.connect(("127.0.0.1", running.port))
    return peer


SLOW = [(10_000, 1 << 16), (55, 1 << 26)]
"""In the middle of a stream the buffer is full; at its end the story waits until all has been taken."""


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize(("events", "buffer_bytes"), SLOW, ids=["in the middle", "at the end"])
@pytest.mark.parametrize("drop_bytes", [0, 1, 300])
def test_who_takes_next_to_nothing_has_left(
    tls: Any, events: int, buffer_bytes: int, drop_bytes: int, *, encrypted: bool
) -> None:
    """A drop now and then wins no time."""
    taps = Taps(events)
    limits = replace(SMALL, write_buffer_bytes_max=buffer_bytes)
    with (
        listening(taps, limits, tls.server if encrypted else None) as running,
        connected(running, tls, encrypted=encrypted) as peer,
    ):
        peer.sendall(request())
        started_s = time.monotonic()
        wait_until(lambda: bool(taps.open), "the stream has begun")
        while not taps.open[0].cancelled.wait(0.1):
            if drop_bytes:
                peer.recv(drop_bytes)
            assert ended_within(started_s)
        assert taps.open[0].given < 4_000_000


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
def test_who_reads_slowly_gets_all_of_it(tls: Any, *, encrypted: bool) -> None:
    """What is taken buys time."""
    limits = replace(SMALL, stall_s_max=1.0)
    with (
        listening(Taps(25), limits, tls.server if encrypted else None) as running,
        connected(running, tls, encrypted=encrypted) as peer,
    ):
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
        with pytest.raises(ConnectionResetError), running.connect() as one_more:
            one_more.recv(100)
        peers[0].close()
        time.sleep(0.1)
        [answer] = responses(said(running.port, request("GET", "/", CLOSE)))
        assert answer.status == 200
        for peer in peers:
            peer.close()


@pytest.mark.parametrize("size", [1000, 1001])
def test_a_body_is_bounded_to_the_byte(small: RunningListener, size: int) -> None:
    [answer] = responses(said(small.port, request("POST", "/", CLOSE, body=b" " * size)))
    assert answer.status == (200 if size == 1000 else 413)
    half = b"%x\r\n%b\r\n" % (500, b" " * 500)
    rest = b"%x\r\n%b\r\n0\r\n\r\n" % (size - 500, b" " * (size - 500))
    data = POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + half + rest
    [answer] = responses(said(small.port, data))
    assert answer.status == (200 if size == 1000 else 413)


HALF = POST + b"Content-Length: 60000\r\n\r\n" + b" " * 45_000


def refused(peer: socket.socket) -> tuple[int, str]:
    [answer] = responses(heard(peer))
    return answer.status, answer.error["code"]


def test_bodies_of_all_clients_together_are_bounded() -> None:
    """Nobody has paid for what is not whole yet, so it may not fill the memory."""
    limits = replace(LASTING, body_bytes_max=60_000, bodies_bytes_max=100_000)
    with listening(limits=limits) as running:
        first, second, third = (running.connect() for _ in range(3))
        for peer in (first, second):
            peer.sendall(HALF)
        wait_until(lambda: running.listener._kept_bytes == 90_000, "two halves are kept")
        third.sendall(HALF)
        assert refused(third) == (503, "service_unavailable")
        third.close()
        first.close()
        wait_until(lambda: running.listener._kept_bytes == 45_000, "one half is kept")
        with running.connect() as fourth:
            fourth.sendall(HALF)
            wait_until(lambda: running.listener._kept_bytes == 90_000, "two halves are kept")
            for peer in (second, fourth):
                peer.sendall(b" " * 15_000)
                assert peer.recv(1 << 16).startswith(b"HTTP/1.1 200")
            assert running.listener._kept_bytes == 0
        second.close()


def test_bodies_that_wait_for_their_turn_count_too() -> None:
    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.5)
        await hello(exchange)

    limits = replace(LASTING, body_bytes_max=60_000, bodies_bytes_max=90_000)
    with listening(slow, limits) as running, running.connect() as peer:
        peer.sendall(request("POST", "/one", body=b" " * 50_000))
        for path in ("/two", "/three"):
            peer.sendall(request("POST", path, body=b" " * 50_000))
        answers = responses(heard(peer))
        assert [answer.status for answer in answers] in ([200, 503], [200, 200, 503])
        assert running.listener._kept_bytes == 0


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
