"""The accept loop: caps before anything is read, places that always come back, and a queue that is not ours to lose."""

import gc
import logging
import resource
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from parvis.api.inference.accepting import SEND_BUFFER_BYTES, UNSENT_BYTES_MAX
from parvis.api.inference.connection import Connection
from parvis.api.inference.exchange import Exchange
from parvis.api.inference.tls_session import TlsSession
from parvis.testing.listening import LASTING, SMALL, RunningListener, listening
from parvis.testing.raw_http import heard, request, responses, said
from parvis.testing.service import wait_until

CLOSE = request("GET", "/", "Connection: close")
HALVES = (b"", b"G", b"\x16\x03\x01", b"GET / HTTP/1.1\r\nHost: a\r\n", b"NONSENSE\r\n\r\n", request()[:-2], bytes(300))
COMERS = 2_000
RESET = struct.pack("ii", 1, 0)


def served(peer: socket.socket) -> bool:
    peer.sendall(request())
    return peer.recv(1 << 16).startswith(b"HTTP/1.1 200")


def let_in(running: RunningListener, host: str = "127.0.0.1") -> socket.socket | None:
    """A client at this address that was answered, or None when it was turned away. All of 127.0.0.0/8 is ours."""
    peer = socket.socket()
    peer.bind((host, 0))
    peer.settimeout(10)
    try:
        peer.connect(("127.0.0.1", running.port))
        if served(peer):
            return peer
    except ConnectionError:
        pass
    peer.close()
    return None


# ---------------------------------------------------------------------------------------------------- caps


def test_each_address_has_its_share() -> None:
    with listening(limits=replace(LASTING, connections_max=5, connections_per_address_max=2)) as running:
        peers = [let_in(running, f"127.0.0.{host}") for host in (2, 2, 2, 3, 3, 3, 4, 5)]
        assert [peer is not None for peer in peers] == [True, True, False, True, True, False, True, False]
        inside = [peer for peer in peers if peer]
        assert running.listener.connections == 5
        inside.pop(0).close()
        running.becomes(4)
        inside += filter(None, [let_in(running, "127.0.0.2")])
        assert len(inside) == 5
        for peer in inside:
            peer.close()


def test_new_bounds_are_for_those_who_come_later() -> None:
    limits = replace(LASTING, connections_max=2)
    too_long = request("POST", "/", "Connection: close", body=b" " * 11)
    with listening(limits=limits) as running, running.connect() as first, running.connect() as second:
        assert served(first)
        assert served(second)
        running.call(lambda: running.listener.renew(None, replace(LASTING, connections_max=3, body_bytes_max=10)))
        with running.connect() as third:
            third.sendall(too_long)
            assert responses(heard(third))[0].status == 413
        first.sendall(too_long)
        assert responses(heard(first))[0].status == 200


def test_a_refusal_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    with listening(limits=replace(SMALL, connections_max=0)) as running:
        for _ in range(50):
            assert let_in(running) is None
        wait_until(lambda: len(caplog.records) > 0, "it is in the log")
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["connections refused"]


# -------------------------------------------------------------------------------------------------- places


def test_places_come_back_however_a_connection_ends() -> None:
    """Silence, halves, nonsense, resets, ends in good order: 2,000 of them."""
    with listening(limits=replace(SMALL, connections_max=COMERS, connections_per_address_max=COMERS)) as running:
        silent = []
        for number in range(COMERS):
            peer = running.connect()
            peer.sendall(HALVES[number % len(HALVES)])
            if number % 3 == 0:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            if number % 3 < 2:
                peer.close()
            else:
                silent.append(peer)
        running.becomes(0)
        assert running.call(lambda: running.listener._places._of) == {}
        assert running.call(lambda: running.listener._guests) == set()
        assert running.call(lambda: running.listener._kept_bytes) == 0
        for peer in silent:
            peer.close()
        assert responses(said(running.port, CLOSE))[0].status == 200


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("said_first", HALVES[3:], ids=["half", "nonsense", "no end", "zeros"])
def test_a_connection_that_is_gone_is_not_left_to_the_collector(
    tls: Any, said_first: bytes, *, encrypted: bool
) -> None:
    """A gateway looks for circles of objects seldom; a crowd that comes and goes would fill the memory meanwhile."""
    gc.collect()
    gc.disable()
    try:
        with listening(limits=LASTING, tls=tls.server if encrypted else None) as running:
            for _ in range(20):
                with tls.connect(running.port) if encrypted else running.connect() as peer:
                    peer.sendall(said_first)
                    peer.sendall(CLOSE)
            running.becomes(0)
            wait_until(lambda: not running.listener._running, "nothing runs")
            left = [kept for kept in gc.get_objects() if isinstance(kept, (Connection, TlsSession, Exchange))]
            assert left == []
    finally:
        gc.enable()


# ------------------------------------------------------------------------------------------------ shortages


@contextmanager
def descriptors(count: int) -> Iterator[None]:
    """No more than so many for this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_shortage_of_descriptors_is_survived(caplog: pytest.LogCaptureFixture) -> None:
    """Who comes meanwhile waits in the queue; the loop neither spins nor ends."""
    with listening(limits=LASTING) as running, running.connect() as before:
        assert served(before)
        peers = [socket.socket() for _ in range(10)]
        with descriptors(peers[-1].fileno() + 2):
            for peer in peers:
                peer.settimeout(10)
                peer.connect(("127.0.0.1", running.port))
            wait_until(lambda: len(caplog.records) > 0, "it is in the log")
            spent_s = time.process_time()
            time.sleep(1)
            assert time.process_time() - spent_s < 0.5
            assert served(before)
        assert all(served(peer) for peer in peers)
        for peer in peers:
            peer.close()
    told = [(record.getMessage(), record.__dict__["kind"]) for record in caplog.records]
    assert told == [("connections cannot be accepted for now", "EMFILE")]
    assert caplog.records[0].levelno == logging.WARNING


# ---------------------------------------------------------------------------------------- the socket is not ours


def test_who_waits_in_the_queue_is_served_by_the_successor() -> None:
    """We stop to accept; the socket and its queue stay as they are."""
    with listening(limits=LASTING) as first:
        first.call(first.listener._acceptor.close)
        waiting = [first.connect() for _ in range(20)]
        for peer in waiting:
            peer.sendall(CLOSE)
        first.drain()
        assert first.ended()
        with listening(limits=LASTING) as second:
            second.call(lambda: second.listener._acceptor.open(first.sock))
            assert [responses(heard(peer))[0].status for peer in waiting] == [200] * 20
        for peer in waiting:
            peer.close()


def test_connections_inherit_what_the_kernel_shall_do() -> None:
    with listening(limits=LASTING) as running, running.connect() as peer:
        assert served(peer)

        def options() -> list[int]:
            [guest] = running.listener._guests
            sock = guest._transport.get_extra_info("socket")  # type: ignore[attr-defined]  # of the plain transport
            named = (socket.TCP_NODELAY, socket.TCP_NOTSENT_LOWAT)
            return [sock.getsockopt(socket.IPPROTO_TCP, option) for option in named] + [
                sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
            ]

        assert running.call(options) == [1, UNSENT_BYTES_MAX, 2 * SEND_BUFFER_BYTES]
