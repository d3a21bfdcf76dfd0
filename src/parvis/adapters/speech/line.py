"""Who is served when: few at once, some more in line, and the rest refused at once.

Heavy work is a generator, run step by step in a thread. Between two steps it can be left: when the caller goes, no
further step is begun, and its seat is free as soon as the step under way has ended.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from threading import Event
from typing import TypeVar

from parvis.adapters.speech.refused import Refused

Part = TypeVar("Part")
STILL_S = 5.0
"""After so long without news the caller is told that we are still here."""


class Line:
    """`seats` are served side by side, each by a thread; `waiting_max` more may wait."""

    def __init__(self, seats: int, waiting_max: int) -> None:
        self._threads = ThreadPoolExecutor(seats)
        self._seats = asyncio.Semaphore(seats)
        self._places = seats + waiting_max
        self._inside = 0
        self.running = 0

    @property
    def waiting(self) -> int:
        return max(0, self._inside - self.running)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the line, to be taken before a body is read. Raises Refused."""
        if self._inside >= self._places:
            raise Refused(
                "The engine is busy and its line is full: try again in a moment.",
                "engine_busy",
                status=HTTPStatus.SERVICE_UNAVAILABLE,
            )
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    @asynccontextmanager
    async def steps(self, work: Callable[[Event], Iterator[Part]]) -> AsyncIterator[AsyncIterator[Part | None]]:
        """The parts that `work` yields, None between them when one takes long. Its event is set when nobody listens."""
        await self._seats.acquire()
        self.running += 1
        stop = Event()
        under_way: set[asyncio.Future[tuple[Part, ...]]] = set()
        try:
            walk = self._walk(work(stop), under_way)
            yield walk
        finally:
            stop.set()
            if under_way:
                under_way.pop().add_done_callback(self._leave)
            else:
                self._leave()

    async def _walk(
        self, parts: Iterator[Part], under_way: set[asyncio.Future[tuple[Part, ...]]]
    ) -> AsyncIterator[Part | None]:
        loop = asyncio.get_running_loop()
        while True:
            step = loop.run_in_executor(self._threads, _next, parts)
            under_way.add(step)
            while not (await asyncio.wait(under_way, timeout=STILL_S))[0]:
                yield None
            under_way.clear()
            if not (found := step.result()):
                return
            yield found[0]

    def _leave(self, step: "asyncio.Future[tuple[Part, ...]] | None" = None) -> None:
        self.running -= 1
        self._seats.release()
        if step is not None:
            step.exception()  # nobody is left to be told


def _next(parts: Iterator[Part]) -> tuple[Part, ...]:
    for part in parts:
        return (part,)
    return ()
