"""The end of a listener: at once or patiently, and what becomes of answers that would take longer."""

import asyncio
import json
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

from parvis.api.inference.exchange import Exchange
from parvis.core.errors import Unavailable
from parvis.domain.metering.records import Outcome
from parvis.testing.listening import LASTING, SMALL, RunningListener, closed, hello, listening
from parvis.testing.processes import fake_engine
from parvis.testing.raw_http import heard, request, responses
from parvis.testing.service import served_by, service, wait_until

CLOSE = request("GET", "/", "Connection: close")
EVENT = b'data: {"n":%d}\n\n'


class Endless:
    """A handler whose stream ends only when somebody ends it."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.outcome: Outcome | None = None
        self._over = asyncio.Event()

    async def __call__(self, exchange: Exchange) -> None:
        exchange.attach(self)
        for number in range(3):
            exchange.events(EVENT % number)
        self.begun.set()
        await self._over.wait()
        if self.outcome is Outcome.GATEWAY_LOST:
            exchange.fail(Unavailable("No more.", code="server_draining"))

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def cancel(self, outcome: Outcome = Outcome.CLIENT_LEFT) -> None:
        self.outcome = outcome
        self._over.set()


def asked(running: RunningListener, data: bytes = b"") -> socket.socket:
    """A client that has sent this, and stays."""
    peer = running.connect()
    peer.sendall(data or request())
    return peer


def answered(running: RunningListener) -> socket.socket:
    """A client that was answered once, and is idle now."""
    peer = asked(running)
    assert b"connection: close" not in peer.recv(1 << 16)
    return peer


def test_answers_finish_and_the_idle_are_closed() -> None:
    begun = threading.Event()

    async def slow(exchange: Exchange) -> None:
        begun.set()
        await asyncio.sleep(0.5)
        await hello(exchange)

    with listening(slow, LASTING) as running, running.connect() as idle, asked(running) as peer:
        assert begun.wait(5)
        running.drain()
        assert idle.recv(100) == b""
        [answer] = responses(heard(peer))
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert running.ended(3)


def test_a_connection_whose_answer_had_begun_ends_after_it() -> None:
    """Its head could not say so any more."""
    begun = threading.Event()

    async def stream(exchange: Exchange) -> None:
        exchange.events(EVENT % 1)
        begun.set()
        await asyncio.sleep(1)
        exchange.finish_stream(b"data: [DONE]\n\n")

    with listening(stream, LASTING) as running, asked(running) as peer:
        assert begun.wait(5)
        running.drain()
        [answer] = responses(heard(peer))
        assert answer.body.endswith(b"data: [DONE]\n\n")
        assert "connection" not in answer.headers
        assert running.ended(3)


def test_a_stream_that_takes_too_long_gets_an_error_event() -> None:
    endless = Endless()
    with listening(endless, LASTING) as running, asked(running) as peer:
        assert endless.begun.wait(5)
        started_s = time.monotonic()
        running.drain(0.5)
        [answer] = responses(heard(peer))
        assert running.ended(5)
        assert time.monotonic() - started_s >= 0.5
    assert endless.outcome is Outcome.GATEWAY_LOST
    *events, last, nothing = answer.body.split(b"\n\n")
    assert events == [(EVENT % number).strip() for number in range(3)]
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "server_draining"
    assert nothing == b""


def test_who_takes_nothing_does_not_hold_up_the_end() -> None:
    async def pour(exchange: Exchange) -> None:
        exchange.answer(b"x" * (32 << 20))
        await exchange.drained()

    with listening(pour, LASTING) as running, asked(running) as peer:
        peer.recv(1)
        started_s = time.monotonic()
        running.drain(0.5)
        assert running.ended(15)
        assert time.monotonic() - started_s < 10


# ---------------------------------------------------------------------------------------------------- patience


def test_the_patient_answer_an_idle_connection_once_more() -> None:
    with listening(limits=LASTING) as running, answered(running) as first, answered(running) as second:
        running.drain(20, patient=True)
        assert not running.ended(0.5)
        for peer in (first, second):
            peer.sendall(request(path="/last"))
            [answer] = responses(heard(peer))
            assert (answer.json()["path"], answer.headers["connection"]) == ("/last", "close")
        assert running.ended(3)


def test_patience_ends_with_the_idle_deadline() -> None:
    with listening(limits=SMALL) as running, answered(running) as peer:
        running.drain(20, patient=True)
        assert peer.recv(100) == b""
        assert running.ended(5)


def test_patience_has_a_limit() -> None:
    with listening(limits=LASTING) as running, answered(running) as peer:
        running.drain(0.5, patient=True)
        assert peer.recv(100) == b""
        assert running.ended(5)


def test_the_patient_hear_half_a_request_to_its_end() -> None:
    with listening(limits=LASTING) as running, asked(running, CLOSE[:-2]) as peer:
        time.sleep(0.2)
        running.drain(20, patient=True)
        assert not running.ended(0.3)
        peer.sendall(CLOSE[-2:])
        assert responses(heard(peer))[0].status == 200


def test_the_patient_finish_a_handshake(tls: Any) -> None:
    with listening(limits=LASTING, tls=tls.server) as running, running.connect() as early:
        time.sleep(0.2)
        running.drain(20, patient=True)
        assert not running.ended(0.3)
        with tls.client.wrap_socket(early, server_hostname="127.0.0.1") as peer:
            peer.sendall(request())
            assert responses(heard(peer))[0].headers["connection"] == "close"


def test_half_a_handshake_holds_up_no_end(tls: Any) -> None:
    with listening(limits=LASTING, tls=tls.server) as running, running.connect() as peer:
        time.sleep(0.2)
        running.drain(20)
        assert running.ended(5)
        assert closed(peer)


# --------------------------------------------------------------------------------------------------- the books


def test_what_was_delivered_before_the_end_is_billed(tmp_path: Path) -> None:
    """Streams and whole answers at the limit of a drain: each client is told, and the ledger knows what it got."""
    env = {"PARVIS_INFERENCE__DRAIN_S_MAX": "1"}
    with fake_engine() as engine:
        engines = {"fake": served_by(engine)}
        with service(tmp_path / "home", engines=engines, env=env) as running:
            orders = ("@tokens=500 @gap_ms=20", "@tokens=7 @hang_after=7", "@prefill_ms=60000")
            peers = [talk(running, order, stream=True) for order in orders] + [talk(running, "@hang", stream=False)]
            wait_until(lambda: len(engine.log()) == len(peers), "the engine has all of them")
            time.sleep(0.5)
            running.signal(signal.SIGTERM)
            answers = [responses(heard(peer))[0] for peer in peers]
            assert running.wait() == 0
        for peer in peers:
            peer.close()
        assert all(record.cancelled for record in engine.ended(count=len(peers)))
        with service(tmp_path / "home", engines=engines, api_key=running.api_key) as again:
            rows = {row["id"]: row for row in again.usage_rows()}
            assert again.check() == []
    for answer in answers[:2]:
        *events, last, _ = answer.body.split(b"\n\n")
        assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "server_draining"
        row = rows[answer.headers["x-request-id"]]
        received = sum(b'"content"' in event for event in events) - 1  # the first one holds the role
        assert (row["outcome"], row["tokens"]["output"]) == ("gateway_lost", received)
        assert received > 0
    for answer in answers[2:]:
        assert (answer.status, answer.error["code"]) == (503, "server_draining")
        row = rows[answer.headers["x-request-id"]]
        assert (row["outcome"], row["tokens"]["output"]) == ("gateway_lost", 0)


def talk(running: Any, content: str, *, stream: bool) -> socket.socket:
    body = {"model": "fake-8b", "messages": [{"role": "user", "content": content}], "stream": stream}
    peer = socket.create_connection(("127.0.0.1", running.port), timeout=30)
    peer.sendall(request("POST", "/v1/chat/completions", body=json.dumps(body).encode(), key=running.api_key))
    return peer
