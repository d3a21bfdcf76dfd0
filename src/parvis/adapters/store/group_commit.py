"""One writer thread, which commits together what waits together.

A commit costs one `fsync` however many transactions share it. Each runs in a savepoint of its own, so that
one refusal takes nothing with it; all are durable before the first caller hears of it. Every money
transaction changes the same few balances, so more writers would only wait for one another: between processes,
groups take turns (`dialect.Use.WRITE`).
"""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from queue import Empty, PriorityQueue
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from parvis.adapters.store.dialect import Verdict, verdict
from parvis.adapters.store.failures import failure_of, not_open, not_written

T = TypeVar("T")

GROUP_MAX = 60
"""PostgreSQL slows everybody down beyond 64 savepoints in a transaction."""
GROUP_S_MAX = 0.02
"""A group takes no new member after this long, so that the first does not wait for a crowd."""
ATTEMPTS_MAX = 10

FIRST, USUAL, LAST = range(3)


class Writer:
    """The thread and its queue. It takes a connection of the engine for each group."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._queue: PriorityQueue[tuple[int, int, _Job | None]] = PriorityQueue()
        self._tickets = itertools.count()
        self._closing = False
        self._gate = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, rank: int, act: Callable[[Connection], T]) -> Future[T]:
        """Queue a transaction: `FIRST` goes before what is `USUAL`."""
        job = _Job(act)
        with self._gate:
            if self._closing:
                raise not_open()
            self._queue.put((rank, next(self._tickets), job))
        return job.future

    def close(self) -> None:
        """Return when all that was queued has ended."""
        with self._gate:
            self._closing = True
            self._queue.put((LAST, next(self._tickets), None))
        self._thread.join()

    def _work(self) -> None:
        while (job := self._queue.get()[2]) is not None:
            self._commit_together(self._waiting(job))

    def _waiting(self, first: "_Job") -> "Iterator[_Job]":
        """The first and all that wait behind it, while there is time. A caller who has left is skipped."""
        ends = time.monotonic() + GROUP_S_MAX
        job: _Job | None = first
        taken = 0
        while job is not None:
            if job.future.set_running_or_notify_cancel():
                yield job
            taken += 1
            job = self._next() if taken < GROUP_MAX and time.monotonic() < ends else None

    def _next(self) -> "_Job | None":
        try:
            entry = self._queue.get_nowait()
        except Empty:
            return None
        if entry[2] is None:
            self._queue.put(entry)  # the end stays the end
        return entry[2]

    def _commit_together(self, waiting: "Iterator[_Job]") -> None:
        """Until nobody is in the way. A lost group never happened: SQLite, for one, ends it when the disk is full."""
        taken: list[_Job] = []
        try:
            durable = any(self._commit(taken, waiting) for _ in range(ATTEMPTS_MAX))
        except SQLAlchemyError:
            durable = False
        for job in taken or waiting:
            job.deliver(durable=durable)

    def _commit(self, taken: "list[_Job]", waiting: "Iterator[_Job]") -> bool:
        """Whether it is durable; if not, another process was in the way."""
        try:
            with self._engine.begin() as connection:
                for job in taken:
                    job.attempt(connection)
                for job in waiting:
                    taken.append(job)
                    job.attempt(connection)
        except DBAPIError as error:
            if verdict(error) is not Verdict.AGAIN:
                raise
            return False
        return True


class _Job:
    """One transaction that waits. Its caller holds the future."""

    def __init__(self, act: Callable[[Connection], Any]) -> None:
        self.future: Future[Any] = Future()
        self._act = act
        self._value: Any = None
        self._error: Exception | None = None

    def attempt(self, connection: Connection) -> None:
        """Run in a savepoint. Raises only what is wrong with the whole group."""
        self._error = None
        savepoint = connection.begin_nested()
        try:
            self._value = self._act(connection)
            savepoint.commit()
        except DBAPIError as error:
            savepoint.rollback()
            if verdict(error) is Verdict.AGAIN:
                raise
            self._error = failure_of(error)
        except Exception as error:  # noqa: BLE001 - it is the caller's, and reaches the caller by the future
            savepoint.rollback()
            self._error = error

    def deliver(self, *, durable: bool) -> None:
        """Tell the caller how it ended."""
        error = self._error if durable else not_written()
        if error is None:
            self.future.set_result(self._value)
        else:
            self.future.set_exception(error)
