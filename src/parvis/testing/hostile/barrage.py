"""Sends fuzz inputs as fast as one process can, and tells what came back.

Framed inputs go over a few connections, many at once; each must have exactly one answer. Loose ones have a connection
each, which must end.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

import msgspec

from parvis.testing.hostile.inputs import Grammar, Input

LANES, BATCH = 8, 16
LOOSE_AT_ONCE = 32
ANSWER_S_MAX = 30.0
SILENCE_S_MAX = 0.1
"""Half a request is rightly not answered: after this long we say that no more will come."""
FAULTS_MAX = 20
_END = b"\r\n\r\n"
_LAST_CHUNK = b"\r\n0\r\n\r\n"


class _Error(msgspec.Struct, forbid_unknown_fields=True):
    message: str
    type: str
    param: str | None
    code: str


class _Problem(msgspec.Struct, forbid_unknown_fields=True):
    error: _Error


_problem = msgspec.json.Decoder(_Problem).decode


@dataclass(slots=True)
class Tally:
    """What came back."""

    statuses: Counter[int] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    """What may never happen, with what caused it."""

    def take(self, status: int, body: bytes, cause: bytes) -> None:
        """Count one answer, and look at its form."""
        self.statuses[status] += 1
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.fault(f"{status}: {body[:300]!r}", cause)
        if status >= HTTPStatus.BAD_REQUEST and body:
            try:
                self.codes[_problem(body).error.code] += 1
            except msgspec.DecodeError:
                self.fault(f"{status} in another shape: {body[:300]!r}", cause)

    def fault(self, what: str, cause: bytes) -> None:
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(f"{what} after {cause[:2000]!r}")


def split_answer(data: bytes | bytearray, start: int, *, bodiless: bool) -> tuple[int, bytes, int] | None:
    """The answer that begins at `start`: its status, body and end. None while it is not whole."""
    head_end = data.find(_END, start)
    if head_end < 0:
        return None
    status, body_start = int(data[start + 9 : start + 12]), head_end + 4
    place = data.find(b"\r\ncontent-length: ", start, head_end)
    if bodiless or status in (HTTPStatus.CONTINUE, HTTPStatus.NO_CONTENT):
        return status, b"", body_start
    if place < 0:
        last = data.find(_LAST_CHUNK, head_end)
        return None if last < 0 else (status, b"", last + len(_LAST_CHUNK))
    line_end = data.find(b"\r\n", place + 2, head_end + 2)
    body_end = body_start + int(data[place + 18 : line_end])
    return None if body_end > len(data) else (status, bytes(data[body_start:body_end]), body_end)


class _Lane(asyncio.Protocol):
    """One connection with framed inputs, a batch at a time."""

    def __init__(self, draw: Callable[[], list[Input]], tally: Tally) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._draw = draw
        self._tally = tally
        self._open: deque[Input] = deque()
        self._heard = bytearray()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is no subclass of asyncio's
        self._send()

    def data_received(self, data: bytes) -> None:
        self._heard += data
        at = 0
        while self._open and (found := split_answer(self._heard, at, bodiless=self._open[0].bodiless)):
            status, body, at = found
            if status != HTTPStatus.CONTINUE:
                self._tally.take(status, body, self._open.popleft().data)
        del self._heard[:at]
        if not self._open:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._open:
            self._tally.fault(f"the connection ended before its answers: {exc}", self._open[0].data)
        if not self.over.done():
            self.over.set_result(None)

    def _send(self) -> None:
        self._open.extend(self._draw())
        if self._open:
            self._transport.write(b"".join([one.data for one in self._open]))
        else:
            self._transport.close()


async def barrage(port: int, grammar: Grammar, framed: int, loose: int) -> Tally:
    """Send so many inputs of each kind. Raises TimeoutError when nothing moves any more."""
    tally = Tally()
    await asyncio.gather(_framed(port, grammar, framed, tally), _loose(port, grammar, loose, tally))
    return tally


async def _framed(port: int, grammar: Grammar, count: int, tally: Tally) -> None:
    left = count

    def draw() -> list[Input]:
        nonlocal left
        now = min(left, BATCH)
        left -= now
        return [grammar.framed() for _ in range(now)]

    loop = asyncio.get_running_loop()
    lanes = [(await loop.create_connection(lambda: _Lane(draw, tally), "127.0.0.1", port))[1] for _ in range(LANES)]
    before = -1
    while not all(lane.over.done() for lane in lanes):
        await asyncio.wait([lane.over for lane in lanes], timeout=ANSWER_S_MAX)
        if (now := tally.statuses.total()) == before and not all(lane.over.done() for lane in lanes):
            raise TimeoutError(f"{now} answers, and no more for {ANSWER_S_MAX} s")
        before = now


async def _loose(port: int, grammar: Grammar, count: int, tally: Tally) -> None:
    side_by_side = asyncio.Semaphore(LOOSE_AT_ONCE)

    async def one(data: bytes) -> None:
        try:
            heard = await _ended(port, data)
            at = 0
            while found := split_answer(heard, at, bodiless=False):
                status, body, at = found
                tally.take(status, body, data)
        finally:
            side_by_side.release()

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            await side_by_side.acquire()
            group.create_task(one(grammar.loose()))


async def _ended(port: int, data: bytes) -> bytes:
    """All that comes until the server closes. Raises TimeoutError when it never does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard, patience_s = b"", SILENCE_S_MAX
    try:
        writer.write(data)
        while True:
            try:
                async with asyncio.timeout(patience_s):
                    piece = await reader.read(1 << 16)
            except TimeoutError:
                if patience_s == ANSWER_S_MAX:
                    raise
                patience_s = ANSWER_S_MAX
                writer.write_eof()
                continue
            if not piece:
                return heard
            heard += piece
    except ConnectionError:
        return heard
    finally:
        writer.transport.abort()
