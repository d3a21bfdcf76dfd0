"""TLS before a connection: half-done handshakes cost little and end, buffers tell the truth, certificates change."""

import asyncio
import random
import socket
import ssl
import struct
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from parvis.api.inference.exchange import Exchange
from parvis.api.inference.tls_session import TlsSession
from parvis.testing.listening import LASTING, SMALL, RunningListener, closed, listening
from parvis.testing.raw_http import heard, request, responses
from parvis.testing.service import wait_until

CLOSE = request("GET", "/", "Connection: close")
COMERS = 2_000
RESET = struct.pack("ii", 1, 0)
SEED = 3


def greeting(tls: Any) -> bytes:
    """The first flight of a client, whole."""
    to_server = ssl.MemoryBIO()
    client = tls.client.wrap_bio(ssl.MemoryBIO(), to_server, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return to_server.read()


def sessions(running: RunningListener) -> int:
    """TLS sessions that have no connection yet."""
    return running.call(lambda: sum(isinstance(guest, TlsSession) for guest in running.listener._guests))


# ---------------------------------------------------------------------------------------------- handshakes


def test_half_done_handshakes_give_their_places_back(tls: Any) -> None:
    """Greetings cut anywhere, nonsense, resets, silence after the answer: 2,000 of them, and a good client after."""
    dice = random.Random(SEED)
    hello = greeting(tls)
    limits = replace(SMALL, connections_max=COMERS, connections_per_address_max=COMERS)
    with listening(limits=limits, tls=tls.server) as running:
        silent = []
        for number in range(COMERS):
            peer = running.connect()
            said = (
                hello,
                hello[: dice.randint(0, len(hello))],
                dice.randbytes(50),
                hello + b"\x14\x03\x03\x00\x01\x01",
            )
            peer.sendall(said[number % 4])
            if dice.random() < 0.3:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            if dice.random() < 0.7:
                peer.close()
            else:
                silent.append(peer)
        running.becomes(0)
        assert running.call(lambda: running.listener._places._of) == {}
        assert running.call(lambda: running.listener._guests) == set()
        assert running.call(lambda: running.listener.handshakes._under_way) == {}
        for peer in silent:
            assert closed(peer)
            peer.close()
        with tls.connect(running.port) as good:
            good.sendall(CLOSE)
            assert responses(heard(good))[0].status == 200


@pytest.mark.parametrize("length", [0, 1, 4, 5, 100, -1, None], ids=str)
def test_a_handshake_has_an_end_that_a_drop_does_not_put_off(tls: Any, length: int | None) -> None:
    hello = greeting(tls)
    with listening(tls=tls.server, limits=replace(LASTING, handshake_s_max=0.5)) as running, running.connect() as peer:
        peer.sendall(hello[:length] if length is not None else hello)
        peer.settimeout(0.1)
        started_s = time.monotonic()
        for byte in hello[length:-1] if length else []:
            try:
                peer.sendall(bytes([byte]))
                time.sleep(0.1)
            except ConnectionError:
                break
        peer.settimeout(10)
        assert closed(peer)
        assert time.monotonic() - started_s < 10
        running.becomes(0)


def test_a_greeting_byte_by_byte(tls: Any) -> None:
    """The whole handshake in single bytes, both flights of the client."""
    from_server, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls.client.wrap_bio(from_server, to_server, server_hostname="127.0.0.1")
    with listening(limits=LASTING, tls=tls.server) as running, running.connect() as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in to_server.read():
                    peer.sendall(bytes([byte]))
                from_server.write(peer.recv(1 << 16))
        client.write(CLOSE)
        peer.sendall(to_server.read())
        from_server.write(heard(peer))
        assert responses(client.read(1 << 16))[0].status == 200


@pytest.mark.parametrize("noise", [request(), b"\x00" * 20, b"\x16\x03\x01\xff\xff", b"\x15\x03\x03\x00\x02\x02\x28"])
def test_what_is_no_tls_is_ended_at_once(tls: Any, noise: bytes) -> None:
    with listening(limits=LASTING, tls=tls.server) as running, running.connect() as peer:
        started_s = time.monotonic()
        peer.sendall(noise)
        assert closed(peer)
        assert time.monotonic() - started_s < 5
        running.becomes(0)


def test_a_client_of_yesterday_is_told_why(tls: Any) -> None:
    yesterday = ssl.create_default_context()
    yesterday.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        listening(limits=LASTING, tls=tls.server) as running,
        running.connect() as peer,
        pytest.raises(ssl.SSLError, match=r"PROTOCOL_VERSION|protocol version"),
    ):
        yesterday.wrap_socket(peer, server_hostname="127.0.0.1")


def test_a_new_handshake_pushes_out_the_oldest(tls: Any) -> None:
    """Clients that fall silent after our answer cannot keep the others out."""
    hello = greeting(tls)
    with listening(limits=replace(LASTING, handshakes_max=10), tls=tls.server) as running:
        silent = [running.connect() for _ in range(10)]
        for peer in silent:
            peer.sendall(hello)
            assert peer.recv(1).startswith(b"\x16")
        for _ in range(3):
            with tls.connect(running.port) as good:
                good.sendall(CLOSE)
                assert responses(heard(good))[0].status == 200
        wait_until(lambda: sessions(running) == 9, "one was pushed out")
        assert closed(silent[0])
        for peer in silent:
            peer.close()


def test_silent_clients_do_not_keep_others_out(tls: Any) -> None:
    """A greeting that is not whole takes no turn, however many there are."""
    with listening(limits=replace(LASTING, handshakes_max=2), tls=tls.server) as running:
        silent = [running.connect() for _ in range(200)]
        for number, peer in enumerate(silent):
            peer.sendall(greeting(tls)[: number % 300])
        with tls.connect(running.port) as good:
            good.sendall(CLOSE)
            assert responses(heard(good))[0].status == 200
        assert sessions(running) == 200
        for peer in silent:
            peer.close()


def test_many_handshakes_at_once_all_get_their_turn(tls: Any) -> None:
    answered: list[bool] = []

    def ask() -> None:
        with tls.connect(running.port) as peer:
            peer.sendall(CLOSE)
            answered.append(responses(heard(peer))[0].status == 200)

    with listening(limits=LASTING, tls=tls.server) as running:
        callers = [threading.Thread(target=ask) for _ in range(60)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(30)
    assert answered == [True] * 60


# --------------------------------------------------------------------------------------------------- renewal


def test_a_new_certificate_is_for_new_connections(tls: Any, other_tls: Any) -> None:
    with listening(limits=LASTING, tls=tls.server) as running, tls.connect(running.port) as before:
        running.call(lambda: running.listener.renew(other_tls.server, LASTING))
        with other_tls.connect(running.port) as after:
            after.sendall(CLOSE)
            assert responses(heard(after))[0].status == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            tls.connect(running.port)
        before.sendall(CLOSE)
        assert responses(heard(before))[0].status == 200


# ---------------------------------------------------------------------------------------------------- records


def test_bodies_of_every_size_arrive_and_return(tls: Any) -> None:
    async def echo(exchange: Exchange) -> None:
        exchange.answer(exchange.call.body)

    sizes = [1, 16_383, 16_384, 16_385, 70_000, 1_000_000]
    limits = replace(LASTING, body_bytes_max=1 << 20)
    with listening(echo, limits, tls.server) as running, tls.connect(running.port) as peer:
        for body in [random.Random(SEED + size).randbytes(size) for size in sizes]:
            peer.sendall(request("POST", "/", body=body))
            received = b""
            while len(received.partition(b"\r\n\r\n")[2]) < len(body):
                received += peer.recv(1 << 16)
            assert received.endswith(body)
        peer.sendall(CLOSE)
        assert responses(heard(peer))[0].status == 200


def test_a_client_that_says_goodbye_has_left(tls: Any) -> None:
    """As one that ends a plain connection: its engine is stopped, whatever runs."""
    cancelled = threading.Event()

    class Endless:
        def __init__(self) -> None:
            self.over = asyncio.Event()

        def pause(self) -> None: ...

        def resume(self) -> None: ...

        def cancel(self, outcome: object = None) -> None:  # noqa: ARG002 - the signature of `Flow`; this answer ends alike for each outcome
            cancelled.set()
            self.over.set()

    async def wait(exchange: Exchange) -> None:
        endless = Endless()
        exchange.attach(endless)
        await endless.over.wait()

    with listening(wait, LASTING, tls.server) as running:
        peer = tls.connect(running.port)
        peer.sendall(request())
        peer.unwrap().close()
        assert cancelled.wait(10)
        running.becomes(0)


def test_the_last_bytes_of_a_large_answer_reach_a_slow_client(tls: Any) -> None:
    """The connection ends after them, also when that takes longer than any handshake."""
    answer = b"x" * (3 << 20)

    async def pour(exchange: Exchange) -> None:
        exchange.answer(answer)

    limits = replace(LASTING, handshake_s_max=0.5)
    with (
        listening(pour, limits, tls.server) as running,
        tls.connect(running.port, receive_bytes=1 << 16) as peer,
    ):
        peer.sendall(CLOSE)
        time.sleep(3)
        assert heard(peer).endswith(answer)
