"""For how long a client may let an answer wait: by a clock that the test turns."""

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.api.inference.accepting import UNSENT_BYTES_MAX
from parvis.api.inference.connection import Connection
from parvis.api.inference.limits import BYTES_PER_S_MIN, ListenerLimits
from parvis.api.inference.listener import Listener
from parvis.testing.listening import hello

STALL_S = 60.0
BUFFER_BYTES = 16 << 10
TAKEN_BYTES = BUFFER_BYTES + UNSENT_BYTES_MAX // 2
"""What a client has taken when there is room again."""


class Loop:
    """As much of a loop as a connection sees that nobody asks for anything."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def time(self) -> float:
        return self.now_s

    def call_soon(self, function: Any) -> None: ...


class Wire:
    """A transport whose client takes what the test says."""

    def __init__(self) -> None:
        self.unsent_bytes = 0
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def set_write_buffer_limits(self, high: int, low: int) -> None: ...

    def get_extra_info(self, name: str) -> "Wire | None":
        return self if name == "socket" else None

    def setsockopt(self, *_: object) -> None: ...

    def abort(self) -> None:
        self.aborted = True


class Client:
    """A connection that is full from time to time."""

    def __init__(self) -> None:
        self.loop, self.wire = Loop(), Wire()
        loop = cast("asyncio.AbstractEventLoop", self.loop)
        listener = Listener(hello, ListenerLimits(stall_s_max=STALL_S), loop, lambda: 0)
        self._connection = Connection(listener, b"")
        self._connection.connection_made(cast("asyncio.BaseTransport", self.wire))

    def stall(self, for_s: float) -> bool:
        """Let a full buffer wait for so long, then take all of it; whether that was allowed."""
        self.wire.unsent_bytes = BUFFER_BYTES
        self._connection.pause_writing()
        self.pass_by(for_s)
        self.wire.unsent_bytes = 0
        self._connection.resume_writing()
        return not self.wire.aborted

    def pass_by(self, for_s: float) -> None:
        until_s = self.loop.now_s + for_s
        while self.loop.now_s < until_s:
            self.loop.now_s = min(until_s, self.loop.now_s + 1)
            if self._connection.deadline_s < self.loop.now_s:
                self._connection.expire()


@pytest.mark.parametrize(("for_s", "allowed"), [(STALL_S, True), (STALL_S + 2, False)])
def test_one_stall_has_its_time(for_s: float, *, allowed: bool) -> None:
    assert Client().stall(for_s) == allowed


def test_what_is_taken_meanwhile_buys_time() -> None:
    client = Client()
    client.wire.unsent_bytes = 20 * BYTES_PER_S_MIN
    client._connection.pause_writing()
    client.wire.unsent_bytes = 10 * BYTES_PER_S_MIN
    client.pass_by(STALL_S + 9)
    assert not client.wire.aborted
    client.pass_by(2)
    assert client.wire.aborted


def test_many_stalls_are_one_long_one() -> None:
    """Each ends in time, and together they would hold up an engine for ever."""
    client = Client()
    each_s = 10 + TAKEN_BYTES / BYTES_PER_S_MIN
    stalls = 0
    while client.stall(each_s):
        stalls += 1
    assert each_s < STALL_S
    assert stalls == STALL_S // 10 - 1


@given(st.lists(st.floats(0, TAKEN_BYTES / BYTES_PER_S_MIN), max_size=200))
def test_who_is_fast_enough_may_stall_for_ever(stalls_s: list[float]) -> None:
    client = Client()
    assert all(client.stall(for_s) for for_s in stalls_s)
