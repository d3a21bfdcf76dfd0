"""SQLite: one writer thread that commits together what waits together; readers on connections of their own.

A commit costs one `fsync` however many transactions share it. Each runs in a savepoint of its own, so that
one refusal takes nothing with it; all are durable before the first caller hears of it.
"""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from queue import Empty, PriorityQueue
from typing import Any

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from parvis.adapters.store.database import READ_S_MAX, WRITE_S_MAX, Act, P, T, answer, closed, failure_of
from parvis.adapters.store.dialect import Use, engine_for
from parvis.core.errors import Unavailable

READERS = 4
GROUP_MAX = 256
GROUP_S_MAX = 0.02
"""A group takes no new member after this long, so that the first does not wait for a crowd."""

FIRST, USUAL, LAST = range(3)


class _Job:
    """One transaction that waits. Its caller holds the future."""

    def __init__(self, act: Callable[[Connection], Any]) -> None:
        self.future: Future[Any] = Future()
        self._act = act
        self._value: Any = None
        self._error: Exception | None = None

    def attempt(self, connection: Connection) -> None:
        """Run in a savepoint. Raises only when the group is lost: SQLite ends it when the disk is full."""
        savepoint = connection.begin_nested()
        try:
            self._value = self._act(connection)
            savepoint.commit()
        except Exception as error:  # noqa: BLE001 - it is the caller's, and reaches the caller by the future
            self._error = failure_of(error) if isinstance(error, DBAPIError) else error
            savepoint.rollback()

    def deliver(self) -> None:
        if self._error is None:
            self.future.set_result(self._value)
        else:
            self.future.set_exception(self._error)


class _Writer:
    """The thread, its queue and its one connection."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._queue: PriorityQueue[tuple[int, int, _Job | None]] = PriorityQueue()
        self._tickets = itertools.count()
        self._closing = False
        self._gate = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, rank: int, act: Callable[[Connection], T]) -> Future[T]:
        job = _Job(act)
        with self._gate:
            if self._closing:
                raise closed()
            self._queue.put((rank, next(self._tickets), job))
        return job.future

    def close(self) -> None:
        with self._gate:
            self._closing = True
            self._queue.put((LAST, next(self._tickets), None))
        self._thread.join()

    def _work(self) -> None:
        while (job := self._queue.get()[2]) is not None:
            self._commit_together(self._waiting(job))

    def _waiting(self, first: _Job) -> Iterator[_Job]:
        """The first and all that wait behind it, while there is time. A caller who has left is skipped."""
        ends = time.monotonic() + GROUP_S_MAX
        job: _Job | None = first
        taken = 0
        while job is not None:
            if job.future.set_running_or_notify_cancel():
                yield job
            taken += 1
            job = self._next() if taken < GROUP_MAX and time.monotonic() < ends else None

    def _next(self) -> _Job | None:
        try:
            entry = self._queue.get_nowait()
        except Empty:
            return None
        if entry[2] is None:
            self._queue.put(entry)  # the end stays the end
        return entry[2]

    def _commit_together(self, jobs: Iterator[_Job]) -> None:
        taken: list[_Job] = []
        try:
            with self._engine.begin() as connection:
                for job in jobs:
                    taken.append(job)
                    job.attempt(connection)
        except SQLAlchemyError:
            _lose(taken or list(jobs))
            return
        for job in taken:
            job.deliver()


def _lose(jobs: list[_Job]) -> None:
    """Nothing of this group happened: it could not begin, could not commit, or SQLite ended it midway."""
    for job in jobs:
        job.future.set_exception(Unavailable("The database cannot be written now.", retry_after_s=5))


class SqliteDatabase:
    """A database file."""

    def __init__(self, url: URL) -> None:
        self._write_engine = engine_for(url, Use.WRITE, 1)
        self._read_engine = engine_for(url, Use.READ, READERS)
        self._writer = _Writer(self._write_engine)
        self._readers: ThreadPoolExecutor | None = ThreadPoolExecutor(READERS, "store-reader")

    async def run(self, act: Act[P, T], *values: P.args, **named: P.kwargs) -> T:
        return await self._write(USUAL, lambda connection: act(connection, *values, **named))

    async def run_first(self, act: Act[P, T], *values: P.args, **named: P.kwargs) -> T:
        return await self._write(FIRST, lambda connection: act(connection, *values, **named))

    async def read(self, act: Act[P, T], *values: P.args, **named: P.kwargs) -> T:
        if self._readers is None:
            raise closed()
        work = partial(self._read, lambda connection: act(connection, *values, **named))
        return await answer(asyncio.get_running_loop().run_in_executor(self._readers, work), READ_S_MAX)

    def close(self) -> None:
        self._writer.close()
        readers, self._readers = self._readers, None
        if readers is not None:
            readers.shutdown()
        self._write_engine.dispose()
        self._read_engine.dispose()

    async def _write(self, rank: int, act: Callable[[Connection], T]) -> T:
        return await answer(asyncio.wrap_future(self._writer.submit(rank, act)), WRITE_S_MAX)

    def _read(self, act: Callable[[Connection], T]) -> T:
        try:
            with self._read_engine.begin() as connection:
                return act(connection)
        except DBAPIError as error:
            raise failure_of(error) from error
