"""What it means to run a transaction here: a plain synchronous function `(connection, values) -> value`.

Such a function may be run more than once before it counts, so it does nothing but SQL. It sees one snapshot,
and either all that it wrote becomes durable or none of it. It raises a `Failure` to refuse.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from parvis.adapters.store.dialect import Verdict, verdict
from parvis.core.clock import Clock
from parvis.core.errors import Conflict, Failure, Unavailable

P = ParamSpec("P")
T = TypeVar("T")
Act = Callable[Concatenate[Connection, P], T]

WRITE_S_MAX = 60
READ_S_MAX = 900


class Database(Protocol):
    """A place to run transactions. Not a port: stories never see it."""

    async def run(self, act: Act[P, T], *values: P.args, **named: P.kwargs) -> T:
        """Write. Returns when it is durable. Raises Unavailable after a minute without an answer."""

    async def run_first(self, act: Act[P, T], *values: P.args, **named: P.kwargs) -> T:
        """Write, before all that waits."""

    async def read(self, act: Act[P, T], *values: P.args, **named: P.kwargs) -> T:
        """Read on one snapshot; writing fails."""

    def close(self) -> None:
        """Finish what was asked for, then let go of all connections. Blocks."""


class Room:
    """One port's verbs on a database. `SqlStore` is all rooms together."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._database: Database | None = None

    @property
    def database(self) -> Database:
        """Where transactions run. Raises Unavailable before `open` and after `close`."""
        if self._database is None:
            raise closed()
        return self._database


async def answer(result: Awaitable[T], seconds_max: int) -> T:
    """Wait for it, but not for ever: a database that is frozen holds its connections, not our callers."""
    try:
        async with asyncio.timeout(seconds_max):
            return await result
    except TimeoutError:
        raise Unavailable(f"The database has not answered for {seconds_max} seconds.", retry_after_s=5) from None


def failure_of(error: DBAPIError) -> Failure | DBAPIError:
    """The public failure behind a driver's error; the error itself when it is a bug of ours."""
    match verdict(error):
        case Verdict.AWAY:
            return Unavailable("The database cannot be used now. Its own log says why.", retry_after_s=5)
        case Verdict.AGAIN:
            return Unavailable("The database is too busy with the same accounts.", retry_after_s=1)
        case Verdict.CLASH:
            return Conflict("It clashes with something that the store holds.")
        case Verdict.BUG:
            return error


def closed() -> Unavailable:
    """What every call before `open` and after `close` gets."""
    return Unavailable("The store is not open.")
