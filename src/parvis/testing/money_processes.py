"""Starts the processes of `money_house` for a test, gives them orders, kills and freezes them.

    async with control_in(home, SqlStore(url)) as control, gateways_in(home, 8) as gateways:
        ends = await asyncio.gather(*[gateway.ask({"do": "at_once", ...}) for gateway in gateways])

What is started here ends with its block, or with this process.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from parvis.flows.store import Store
from parvis.testing.money_house import ControlHouse

ANSWER_S_MAX = 60.0
END_S_MAX = 20.0
Json = dict[str, Any]


class Part:
    """A process of the house: `gateway HOME`, or `control HOME URL`."""

    def __init__(self, *words: str) -> None:
        self._words = words
        self._child = self._spawn()

    @property
    def pid(self) -> int:
        return self._child.pid

    async def ready(self) -> None:
        """Return when it says so."""
        await self._line()

    async def ask(self, order: Json) -> Json:
        """Give an order; its answer."""
        self.tell(order)
        return await self._line()

    def tell(self, order: Json) -> None:
        assert self._child.stdin
        self._child.stdin.write(json.dumps(order).encode() + b"\n")
        self._child.stdin.flush()

    def kill(self) -> None:
        """SIGKILL; return when it is gone."""
        self._child.kill()
        self._child.wait(END_S_MAX)
        self._close()

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    async def again(self) -> None:
        """Another process in its place, which is ready."""
        self._child = self._spawn()
        await self.ready()

    async def end(self) -> None:
        """In good order; killed when that takes too long."""
        if self._child.stdin and not self._child.stdin.closed:
            self._child.stdin.close()
        try:
            await asyncio.to_thread(self._child.wait, END_S_MAX)
        finally:
            self.kill()

    async def _line(self) -> Json:
        assert self._child.stdout
        line = await asyncio.wait_for(asyncio.to_thread(self._child.stdout.readline), ANSWER_S_MAX)
        if not line:
            raise ChildProcessError(f"{self._words[0]} {self.pid} has ended")
        said: Json = json.loads(line)
        return said

    def _spawn(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "parvis.testing.money_house", *self._words]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - our own program

    def _close(self) -> None:
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe and not pipe.closed:
                pipe.close()


@asynccontextmanager
async def gateways_in(home: Path, count: int) -> AsyncIterator[list[Part]]:
    """So many gateways, ready; they end in good order with the block."""
    gateways = [Part("gateway", str(home)) for _ in range(count)]
    try:
        await asyncio.gather(*(gateway.ready() for gateway in gateways))
        yield gateways
        await asyncio.gather(*(gateway.end() for gateway in gateways))
    finally:
        for gateway in gateways:
            gateway.kill()


@asynccontextmanager
async def control_in(home: Path, store: Store) -> AsyncIterator[ControlHouse]:
    """Control, in this process, where a bug may be planted in it."""
    control = ControlHouse(home, store)
    await control.begin()
    try:
        yield control
    finally:
        await control.end()


def answered_in(home: Path) -> dict[str, tuple[int, ...]]:
    """What clients know: the tokens of each request whose answer has left, by its id."""
    lines = [line for file in (home / "answered").iterdir() for line in file.read_text().splitlines(keepends=True)]
    whole = [line.split() for line in lines if line.endswith("\n")]
    return {name: tuple(map(int, tokens)) for name, *tokens in whole}
