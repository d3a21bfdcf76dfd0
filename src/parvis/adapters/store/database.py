"""What it means to run a transaction here: a plain synchronous function `(connection, values) -> value`.

Such a function may be run more than once before it counts, so it does nothing but SQL. It sees one snapshot,
and either all that it wrote becomes durable or none of it. It raises a `Failure` to refuse.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Connection
from sqlalchemy.exc import DBAPIError

from parvis.adapters.store.dialect import Use, engine_for
from parvis.adapters.store.failures import failure_of, not_open
from parvis.adapters.store.group_commit import FIRST, USUAL, Writer
from parvis.core.clock import Clock
from parvis.core.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")
Act = Callable[Concatenate[Connection, P], T]

READERS = 4
WRITE_S_MAX = 60
READ_S_MAX = 900


class Database:
    """One writer and a few readers, each with a connection and a thread of its own."""

    def __init__(self, url: URL) -> None:
        self._write_engine = engine_for(url, Use.WRITE, 1)
        self._read_engine = engine_for(url, Use.READ, READERS)
        self._writer = Writer(self._write_engine)
        self._readers = ThreadPoolExecutor(READERS, "store-reader")
        self._exporter = ThreadPoolExecutor(1, "store-exporter")

    async def run(self, act: Act[P, T], *values: P.args, **named: P.kwargs) -> T:
        """Write. Returns when it is durable. Raises Unavailable after a minute without an answer."""
        return await self._write(USUAL, lambda connection: act(connection, *values, **named))

    async def run_first(self, act: Act[P, T], *values: P.args, **named: P.kwargs) -> T:
        """Write, before all that waits."""
        return await self._write(FIRST, lambda connection: act(connection, *values, **named))

    async def read(self, act: Act[P, T], *values: P.args, **named: P.kwargs) -> T:
        """Read on one snapshot; writing fails."""
        work = partial(self._read, lambda connection: act(connection, *values, **named))
        return await _answer(asyncio.get_running_loop().run_in_executor(self._readers, work), READ_S_MAX)

    async def read_long(self, act: Act[P, T], *values: P.args, **named: P.kwargs) -> T:
        """Read on one snapshot what takes minutes, one at a time, so that other readers keep their connections."""
        work = partial(self._read, lambda connection: act(connection, *values, **named))
        return await _answer(asyncio.get_running_loop().run_in_executor(self._exporter, work), READ_S_MAX)

    def close(self) -> None:
        """Finish what was asked for, then let go of all connections. Blocks."""
        self._writer.close()
        self._exporter.shutdown(cancel_futures=True)
        self._readers.shutdown()
        self._write_engine.dispose()
        self._read_engine.dispose()

    async def _write(self, rank: int, act: Callable[[Connection], T]) -> T:
        return await _answer(asyncio.wrap_future(self._writer.submit(rank, act)), WRITE_S_MAX)

    def _read(self, act: Callable[[Connection], T]) -> T:
        try:
            with self._read_engine.begin() as connection:
                return act(connection)
        except DBAPIError as error:
            raise failure_of(error) from error


class Room:
    """One port's verbs on a database. `SqlStore` is all rooms together."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._database: Database | None = None

    @property
    def database(self) -> Database:
        """Where transactions run. Raises Unavailable before `open` and after `close`."""
        if self._database is None:
            raise not_open()
        return self._database


async def _answer(result: Awaitable[T], seconds_max: int) -> T:
    """Wait for it, but not for ever: a database that is frozen holds its connections, not our callers."""
    try:
        async with asyncio.timeout(seconds_max):
            return await result
    except TimeoutError:
        raise Unavailable(f"The database has not answered for {seconds_max} seconds.", retry_after_s=5) from None
