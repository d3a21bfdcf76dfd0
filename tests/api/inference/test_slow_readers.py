"""A client that reads slowly holds up its engine, and not the gateway's memory."""

import itertools
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parvis.testing.processes import FakeEngineProcess, fake_engine
from parvis.testing.raw_http import request
from parvis.testing.service import Service, served_by, service

MODEL = "long-8b"
TOKENS = 40_000
LOGPROBS = {"logprobs": True, "top_logprobs": 20}
"""They make an event 3 kB long."""
STREAM_BYTES_MIN = 50_000_000
GROWTH_BYTES_MAX = 12_000_000
HELD_S = 2.0


@pytest.fixture(scope="module")
def engine() -> Iterator[FakeEngineProcess]:
    with fake_engine() as engine:
        yield engine


@pytest.fixture(scope="module")
def running(engine: FakeEngineProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    long = served_by(engine, model=MODEL, engine_model="fake-8b", context_tokens=1 << 20)
    with service(tmp_path_factory.mktemp("slow") / "home", engines={"long": long}) as running:
        yield running


def resident_bytes(pid: int) -> int:
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


def stream_request(running: Service, orders: str) -> bytes:
    body: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": orders}], "stream": True}
    head = ("Connection: close",)
    return request(
        "POST", "/v1/chat/completions", *head, body=json.dumps(body | LOGPROBS).encode(), key=running.api_key
    )


def connect(running: Service) -> socket.socket:
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    peer.settimeout(30)
    peer.connect(("127.0.0.1", running.port))
    return peer


def settled(engine: FakeEngineProcess) -> int:
    """Tokens that the engine wrote, once it writes no more for a while."""
    before, now = -1, 0
    while now != before:
        time.sleep(0.3)
        before, now = now, engine.log()[-1].tokens_written
    return now


def test_a_slow_reader_does_not_grow_the_gateway(running: Service, engine: FakeEngineProcess) -> None:
    [gateway] = running.pids("gateway")
    with connect(running) as peer:
        peer.sendall(stream_request(running, f"@tokens={TOKENS} Go."))
        peer.recv(1)
        before = peak = resident_bytes(gateway)
        held = settled(engine)
        assert held < TOKENS / 2, "the engine was not held up"
        time.sleep(HELD_S)
        assert engine.log()[-1].tokens_written == held
        received, tail = 1, b""
        for reads in itertools.count():
            if reads % 100 == 0:
                peak = max(peak, resident_bytes(gateway))
            if not (data := peer.recv(1 << 16)):
                break
            received += len(data)
            tail = (tail + data)[-100:]
    assert tail.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert received > STREAM_BYTES_MIN
    assert peak - before < GROWTH_BYTES_MAX
    assert engine.ended()[-1].tokens_written == TOKENS


def test_many_slow_readers_cost_little_each(running: Service, engine: FakeEngineProcess) -> None:
    """What one may hold is bounded: a buffer on each side."""
    [gateway] = running.pids("gateway")
    before = resident_bytes(gateway)
    peers = [connect(running) for _ in range(20)]
    for peer in peers:
        peer.sendall(stream_request(running, f"@tokens={TOKENS} Go."))
    for peer in peers:
        peer.recv(1)
    settled(engine)
    assert resident_bytes(gateway) - before < 20 * 1_500_000 + GROWTH_BYTES_MAX
    for peer in peers:
        peer.close()
    assert all(record.cancelled for record in engine.ended()[-20:])


def test_who_asks_without_reading_is_not_read_either(running: Service) -> None:
    """Answers that nobody takes stop the reading of questions."""
    [gateway] = running.pids("gateway")
    before = resident_bytes(gateway)
    question = request(key=running.api_key) * 100
    with connect(running) as peer:
        peer.settimeout(1)
        sent = 0
        try:
            while sent < 64_000_000:
                sent += peer.send(question)
        except TimeoutError:
            pass
        assert sent < 64_000_000
        assert resident_bytes(gateway) - before < GROWTH_BYTES_MAX
