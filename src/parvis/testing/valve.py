"""A way between a client and a server on which things go wrong, on order.

async with Valve(to="/run/real.sock").at("/run/asked.sock") as valve:
    valve.turn(Trouble.FROZEN)
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from pathlib import Path

CHUNK_BYTES = 1 << 16
SLOW_S = 0.01
Address = tuple[str, int] | Path


class Trouble(StrEnum):
    """How a server can be away."""

    NONE = "none"
    STOPPED = "stopped"
    """Nobody is there: connections end, new ones end at once."""
    FROZEN = "frozen"
    """It takes connections and says nothing."""
    SLOW = "slow"
    """Each piece of each answer and question is late."""
    CUT_OFF = "cut off"
    """Connections that are there say nothing, new ones end at once."""


class Valve:
    """One way. What is late or held back is not lost: it passes when the trouble is over."""

    def __init__(self, to: Address) -> None:
        self._to = to
        self._trouble = Trouble.NONE
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def at(self, path: Path | None = None) -> AsyncIterator[int]:
        """Listen here, or on a port of loopback, which is given."""
        server = (
            await asyncio.start_server(self._serve, "127.0.0.1", 0)
            if path is None
            else await asyncio.start_unix_server(self._serve, path)
        )
        try:
            yield 0 if path else int(server.sockets[0].getsockname()[1])
        finally:
            server.close()
            self._abort()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def turn(self, trouble: Trouble) -> None:
        """From now on it is like this."""
        self._trouble = trouble
        if trouble in (Trouble.FROZEN, Trouble.CUT_OFF):
            self._flowing.clear()
        else:
            self._flowing.set()
        if trouble is Trouble.STOPPED:
            self._abort()

    def _abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._trouble in (Trouble.STOPPED, Trouble.CUT_OFF):
            writer.transport.abort()
            return
        with suppress(OSError):
            there_reader, there_writer = await self._connect()
            self._writers |= {writer, there_writer}
            for pump in (self._pump(reader, there_writer), self._pump(there_reader, writer)):
                task = asyncio.create_task(pump)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._to, Path):
            return await asyncio.open_unix_connection(self._to)
        return await asyncio.open_connection(*self._to)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until one of the ends has gone; then the other one goes too."""
        try:
            while data := await reader.read(CHUNK_BYTES):
                if self._trouble is Trouble.SLOW:
                    await asyncio.sleep(SLOW_S)
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()
