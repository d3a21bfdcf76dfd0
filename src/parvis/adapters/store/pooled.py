"""PostgreSQL: a few threads, each with a connection; writers that collide try again."""

import asyncio
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError

from parvis.adapters.store.database import READ_S_MAX, WRITE_S_MAX, Act, P, T, answer, closed, failure_of
from parvis.adapters.store.dialect import Use, Verdict, engine_for, verdict

WRITERS = 8
READERS = 4
ATTEMPTS_MAX = 30
PAUSE_MS_MAX = 100


class PostgresDatabase:
    """A database on a server. What goes first has a thread of its own."""

    def __init__(self, url: URL) -> None:
        self._write_engine = engine_for(url, Use.WRITE, WRITERS + 1)
        self._read_engine = engine_for(url, Use.READ, READERS)
        self._writers = ThreadPoolExecutor(WRITERS, "store-writer")
        self._first = ThreadPoolExecutor(1, "store-first")
        self._readers = ThreadPoolExecutor(READERS, "store-reader")
        self._open = True

    async def run(self, act: Act[P, T], *values: P.args, **named: P.kwargs) -> T:
        return await self._in(self._writers, WRITE_S_MAX, lambda: self._write(act, *values, **named))

    async def run_first(self, act: Act[P, T], *values: P.args, **named: P.kwargs) -> T:
        return await self._in(self._first, WRITE_S_MAX, lambda: self._write(act, *values, **named))

    async def read(self, act: Act[P, T], *values: P.args, **named: P.kwargs) -> T:
        return await self._in(self._readers, READ_S_MAX, lambda: self._read(act, *values, **named))

    def close(self) -> None:
        self._open = False
        for threads in (self._first, self._writers, self._readers):
            threads.shutdown()
        self._write_engine.dispose()
        self._read_engine.dispose()

    async def _in(self, threads: ThreadPoolExecutor, seconds_max: int, work: Callable[[], T]) -> T:
        if not self._open:
            raise closed()
        return await answer(asyncio.get_running_loop().run_in_executor(threads, work), seconds_max)

    def _write(self, act: Act[P, T], *values: P.args, **named: P.kwargs) -> T:
        attempt = 1
        while True:
            try:
                return _once(self._write_engine, lambda connection: act(connection, *values, **named))
            except DBAPIError as error:
                if verdict(error) is not Verdict.AGAIN or attempt == ATTEMPTS_MAX:
                    raise failure_of(error) from error
            _pause(attempt)
            attempt += 1

    def _read(self, act: Act[P, T], *values: P.args, **named: P.kwargs) -> T:
        try:
            return _once(self._read_engine, lambda connection: act(connection, *values, **named))
        except DBAPIError as error:
            raise failure_of(error) from error


def _once(engine: Engine, act: Callable[[Connection], T]) -> T:
    with engine.begin() as connection:
        return act(connection)


def _pause(attempt: int) -> None:
    """Writers that collided part by chance, at most `PAUSE_MS_MAX` each time."""
    time.sleep(secrets.randbelow(min(2**attempt, PAUSE_MS_MAX)) / 1000)
