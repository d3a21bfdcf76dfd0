"""A client that reads slowly holds up its engine, and not the gateway's memory; with TLS as without."""

import itertools
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
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
EACH_BYTES_MAX = 400_000
"""Of a client that takes nothing: what was written when its buffer was full already, and a read of the engine."""
HELD_S = 2.0
STALL_S_MAX = 12
CUT_S_MAX = 40.0


@pytest.fixture(scope="module")
def engine() -> Iterator[FakeEngineProcess]:
    with fake_engine() as engine:
        yield engine


@dataclass(frozen=True)
class Way:
    """A service, and how its clients reach it."""

    service: Service
    tls: Any = None

    @property
    def pid(self) -> int:
        [gateway] = self.service.pids("gateway")
        return gateway

    def connect(self) -> socket.socket:
        """A client whose kernel takes little for it."""
        if self.tls is not None:
            secret: socket.socket = self.tls.connect(self.service.port, receive_bytes=1 << 16)
            return secret
        peer = socket.socket()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        peer.settimeout(30)
        peer.connect(("127.0.0.1", self.service.port))
        return peer


@pytest.fixture(scope="module", params=["plain", "TLS"])
def way(
    request: pytest.FixtureRequest, engine: FakeEngineProcess, tls: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Way]:
    long = served_by(engine, model=MODEL, engine_model="fake-8b", context_tokens=1 << 20)
    encrypted = request.param == "TLS"
    env = {"PARVIS_INFERENCE__STALL_S_MAX": str(STALL_S_MAX), **(tls.env if encrypted else {})}
    home = tmp_path_factory.mktemp("slow") / "home"
    with service(home, engines={"long": long}, env=env) as running:
        yield Way(running, tls if encrypted else None)


def resident_bytes(pid: int) -> int:
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


def stream_request(way: Way, orders: str) -> bytes:
    body: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": orders}], "stream": True}
    head = ("Connection: close",)
    return request(
        "POST", "/v1/chat/completions", *head, body=json.dumps(body | LOGPROBS).encode(), key=way.service.api_key
    )


def settled(engine: FakeEngineProcess) -> int:
    """Tokens that the engine wrote, once it writes no more for a while."""
    before, now = -1, 0
    while now != before:
        time.sleep(0.3)
        before, now = now, engine.log()[-1].tokens_written
    return now


def test_a_slow_reader_does_not_grow_the_gateway(way: Way, engine: FakeEngineProcess) -> None:
    with way.connect() as peer:
        peer.sendall(stream_request(way, f"@tokens={TOKENS} Go."))
        peer.recv(1)
        before = peak = resident_bytes(way.pid)
        held = settled(engine)
        assert held < TOKENS / 2, "the engine was not held up"
        time.sleep(HELD_S)
        assert engine.log()[-1].tokens_written == held
        received, tail = 1, b""
        for reads in itertools.count():
            if reads % 100 == 0:
                peak = max(peak, resident_bytes(way.pid))
            if not (data := peer.recv(1 << 16)):
                break
            received += len(data)
            tail = (tail + data)[-100:]
    assert tail.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert received > STREAM_BYTES_MIN
    assert peak - before < GROWTH_BYTES_MAX
    assert engine.ended()[-1].tokens_written == TOKENS


def test_who_takes_nothing_costs_little_and_is_cut(way: Way, engine: FakeEngineProcess) -> None:
    """What one may hold is bounded, and so is the time for which its engine is held up."""
    before = resident_bytes(way.pid)
    peers = [way.connect() for _ in range(20)]
    started_s = time.monotonic()
    for peer in peers:
        peer.sendall(stream_request(way, f"@tokens={TOKENS} Go."))
    for peer in peers:
        peer.recv(1)
    settled(engine)
    assert resident_bytes(way.pid) - before < 20 * EACH_BYTES_MAX + GROWTH_BYTES_MAX
    records = engine.ended(within_s=CUT_S_MAX)[-20:]
    assert time.monotonic() - started_s > STALL_S_MAX
    assert all(record.cancelled for record in records)
    for peer in peers:
        peer.close()


def test_who_asks_without_reading_is_not_read_either(way: Way) -> None:
    """Answers that nobody takes stop the reading of questions."""
    before = resident_bytes(way.pid)
    question = request(key=way.service.api_key) * 100
    with way.connect() as peer:
        peer.settimeout(1)
        sent = 0
        try:
            while sent < 64_000_000:
                sent += peer.send(question)
        except TimeoutError:
            pass
        assert sent < 64_000_000
        assert resident_bytes(way.pid) - before < GROWTH_BYTES_MAX
