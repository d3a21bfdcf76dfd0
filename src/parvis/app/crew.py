"""The supervisor's children: how they are started and ended, and how each is followed by another."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import Any

from parvis.adapters.processes.child import Backoff, Child, Word, child_environ, start_child
from parvis.adapters.processes.heir import start_heir
from parvis.core.errors import Misconfigured

__all__ = ["Child", "Crew", "Post", "Word", "start_heir", "together"]

START_S_MAX = 120.0
_log = logging.getLogger("parvis.supervisor")


class Crew:
    """Children of one kind: all that live, those that are on their way out too."""

    def __init__(self, home: Path) -> None:
        self._environ = child_environ(str(home))
        self._children: list[Child] = []

    async def start(self, *command: str, descriptors: Sequence[int] = (), first: Word) -> tuple[Child, Word]:
        """Start `python -m command`, and wait for its first word. Raises Misconfigured.

        When it fails or is called off, nothing of it is left running.
        """
        whole = [sys.executable, "-m", *command]
        try:
            child = await start_child(whole, environ=self._environ, descriptors=descriptors, first=first)
        except OSError as problem:
            raise Misconfigured(f"The machine starts no more processes: {problem.strerror}.") from None
        self._children = [*self.living, child]
        try:
            return child, await child.first_word(START_S_MAX)
        except BaseException:
            await child.kill()
            raise

    @property
    def living(self) -> list[Child]:
        return [child for child in self._children if child.exit_code is None]

    @property
    def ready(self) -> list[Child]:
        """Those that can be asked something."""
        return [child for child in self.living if child.ready]

    async def end(self, s_max: float, first: Signals = SIGTERM) -> None:
        """This signal to all of them, then SIGKILL after the limit."""
        await asyncio.gather(*(child.end(s_max, first) for child in self.living))

    def kill(self) -> None:
        """SIGKILL to all of them."""
        for child in self.living:
            child.signal(SIGKILL)


class Post:
    """A place that is always taken: who dies, or says that it leaves, is followed by another."""

    def __init__(
        self, name: str, start: Callable[[], Awaitable[Child]], changed: Callable[[], None] = lambda: None
    ) -> None:
        self.child: Child | None = None
        """Who has the post now."""
        self.why = ""
        """Why who had it last was killed, for people; empty where it ended by itself."""
        self._name = name
        self._start = start
        self._changed = changed
        self._backoff = Backoff(asyncio.get_running_loop().time)
        self._watch: asyncio.Task[None] | None = None

    async def fill(self) -> None:
        """Start somebody. Raises Misconfigured."""
        self.take(await self._start())

    def take(self, child: Child) -> None:
        """This one has the post from now on."""
        self.why = ""
        self._put(child)
        self._backoff.started()
        self._watch = asyncio.ensure_future(self._follow(child))

    def leave_open(self) -> Child | None:
        """Nobody is started any more. Gives who had the post, and still runs."""
        child = self.child
        self._put(None)
        if self._watch is not None:
            self._watch.cancel()
        return child

    def kill(self, why: str) -> None:
        """End at once who has the post; another follows, as after every death."""
        if self.child is not None:
            self.why = why
            self.child.signal(SIGKILL)

    def fill_sometime(self) -> None:
        """Start somebody, as often as it takes."""
        self._watch = asyncio.ensure_future(self._fill_sometime())

    async def replace(self) -> Child | None:
        """Start another beside who has the post; give that one, still running. Raises Misconfigured."""
        fresh = await self._start()
        old = self.leave_open()
        self.take(fresh)
        return old

    def _put(self, child: Child | None) -> None:
        if child is not self.child:
            self.child = child
            self._changed()

    async def _follow(self, child: Child) -> None:
        await child.leaves()
        self._put(None)
        if not child.said_leaving:
            await child.wait()
            await self._pause(child.exit_code)
        await self._fill_sometime()

    async def _fill_sometime(self) -> None:
        while True:
            with suppress(Misconfigured):
                await self.fill()
                return
            await self._pause(None)

    async def _pause(self, exit_code: int | None) -> None:
        pause_s = self._backoff.pause_s()
        _log.warning("%s ended, starting it again", self._name, extra={"exit_code": exit_code, "pause_s": pause_s})
        await asyncio.sleep(pause_s)


async def together(*work: Coroutine[Any, Any, object]) -> None:
    """Do all of it at once. When one fails the others are called off, and have ended, before it is raised."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
