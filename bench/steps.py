"""What a large prompt costs the product, step by step: its real functions on the real body, in this process.

Medians of many turns, for a prompt of 1 kB and one of 200 kB, with warm caches and nothing between the steps, so
their sum is a little less than what the phases `sat` and `big` show of the whole service.

usage: steps.py
"""

import asyncio
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from phases import BIG_BYTES, SMALL_BYTES, WHOLE, body
from places import CHAT_PATH

from parvis.adapters.engines.shaping import engine_json
from parvis.adapters.engines.upstream import UpstreamPool
from parvis.api.inference.call import Call
from parvis.api.inference.connection import Connection
from parvis.api.inference.exchange import Exchange
from parvis.api.inference.limits import ListenerLimits
from parvis.domain.catalog.builtin import entry
from parvis.domain.fleet.profile import PROFILES
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.domain.metering.records import Operation
from parvis.flows.ports import Job
from parvis.flows.request import InferenceRequest
from parvis.wire.chat import read_chat
from parvis.wire.said_once import said_once

TURNS = 300
READ_BYTES = 65_536  # what one segment on loopback holds, and so what one read returns at most
Row = dict[str, Any]


class Owner:
    """A listener that keeps what its connection has read, and answers nothing."""

    limits = ListenerLimits()

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def now(self) -> float:
        """Any instant."""
        return 0.0

    def is_draining(self) -> bool:
        """It runs."""
        return False

    def new_request_id(self) -> str:
        """One for all."""
        return "req_bench"

    def joined(self, connection: Connection) -> None:
        """Nothing to keep."""

    def parted(self, connection: Connection) -> None:
        """Nothing to forget."""

    def keep(self, _: int) -> bool:
        """There is room for every body."""
        return True

    def begin(self, _: Connection, exchange: Exchange) -> None:
        """Keep the request."""
        self.calls.append(exchange.call)


class Silence(asyncio.Transport):
    """A transport that nobody hears."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """No buffer, no limits."""


def median_us(turn: Callable[[], float]) -> float:
    """Median over many turns, each of which returns its own seconds."""
    return statistics.median(turn() for _ in range(TURNS)) * 1e6


def timed(step: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def kernel_s(data: bytes, sender: socket.socket, receiver: socket.socket) -> tuple[float, float]:
    """Seconds inside `send` and inside `recv` to bring the data through a loopback connection."""
    sending = receiving = 0.0
    sent = received = 0
    while received < len(data):
        if sent < len(data):
            start = time.perf_counter()
            sent += sender.send(memoryview(data)[sent:])
            sending += time.perf_counter() - start
        start = time.perf_counter()
        received += len(receiver.recv(READ_BYTES))
        receiving += time.perf_counter() - start
    return sending, receiving


def connected() -> tuple[socket.socket, socket.socket]:
    """The two ends of a TCP connection over loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        sender = socket.create_connection(listening.getsockname())
        receiver, _ = listening.accept()
        return sender, receiver


def parsed(request: bytes) -> tuple[float, Call]:
    """Seconds of the connection over these bytes, and the call that it makes of them."""
    owner = Owner()
    connection = Connection(owner, b"bench")
    connection.connection_made(Silence())
    pieces = [request[at : at + READ_BYTES] for at in range(0, len(request), READ_BYTES)]
    start = time.perf_counter()
    for piece in pieces:
        connection.data_received(piece)
    return time.perf_counter() - start, owner.calls[0]


def job_of(call: Call) -> Job:
    """What the story makes of the call before it asks an engine."""
    chat = read_chat(call.body)
    request = InferenceRequest(
        request_id=call.request_id,
        operation=Operation.CHAT,
        credential=None,
        model=chat.model,
        body=chat,
        input_bytes=len(call.body),
    )
    model = entry("mock", engine="mock", context_tokens=1 << 20)
    replica = Replica("mock-0", "mock", EngineKind.OPENAI, "http://127.0.0.1:1", ReplicaState.READY)
    return Job(request, model, replica, chat.max_tokens or 1, PROFILES[replica.kind])


def steps(size: int) -> Iterator[tuple[str, float]]:
    """Name and microseconds of each step for a prompt of `size` bytes."""
    text = body(WHOLE, size)
    head = f"POST {CHAT_PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    request = f"{head}Authorization: Bearer none\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text
    _, call = parsed(request)
    job = job_of(call)
    pool = UpstreamPool(job.replica, asyncio.new_event_loop())
    ready = engine_json(job)
    sender, receiver = connected()
    with sender, receiver:
        sender.settimeout(0)
        kernel = [kernel_s(request, sender, receiver) for _ in range(TURNS)]
    yield ("receive, in the kernel", statistics.median(spent for _, spent in kernel) * 1e6)
    yield "parse HTTP, collect the body", median_us(lambda: parsed(request)[0])
    yield ("decode and validate JSON", median_us(lambda: timed(lambda: read_chat(call.body))))
    chat = read_chat(call.body)
    yield ("prove that no key stands twice", median_us(lambda: timed(lambda: said_once(chat, call.body))))
    yield "encode for the engine", median_us(lambda: timed(lambda: engine_json(job)))
    yield ("put head and body together", median_us(lambda: timed(lambda: pool.request(b"/", "", "req_bench", ready))))
    yield "send, in the kernel", statistics.median(spent for spent, _ in kernel) * 1e6


def run() -> list[Row]:
    """One row a step."""
    small, big = dict(steps(SMALL_BYTES)), dict(steps(BIG_BYTES))
    return [
        {"kind": "step", "part": "steps", "step": name, "small_us": round(small[name], 2), "big_us": round(spent, 2)}
        for name, spent in big.items()
    ]


if __name__ == "__main__":
    for row in run():
        print(f"{row['step']:32} {row['small_us']:8.1f} {row['big_us']:8.1f} us")
