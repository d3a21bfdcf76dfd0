"""One child process: started in a session of its own, spoken to by JSON lines, ended politely, then not."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from signal import SIGKILL, SIGTERM, Signals
from typing import Any

import msgspec

from parvis.core.errors import Failure, Misconfigured, Unavailable

LINE_BYTES_MAX = 1 << 20
_NOT_INHERITED = ("PARVIS_STORE__", "NOTIFY_SOCKET")
Word = dict[str, Any]
"""One line, either way. `ask` numbers what is asked, `to` what is answered."""


class Child:
    """A running child. Its stdin stays open as long as we live: its end tells the child that we are gone."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._first: asyncio.Future[Word | None] = asyncio.get_running_loop().create_future()
        self._answers: dict[int, asyncio.Future[Word | None]] = {}
        self._asked = 0
        self.said_leaving = False
        """It has told that it drains and then ends."""
        self._leaving = asyncio.Event()
        self._hearing = asyncio.ensure_future(self._hear())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ready(self) -> bool:
        """It has said its first word."""
        return self._first.done() and not self._first.cancelled()

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode

    async def first_word(self, s_max: float) -> Word:
        """Its first JSON line. Raises Misconfigured with the child's own sentence, or when it says nothing."""
        try:
            async with asyncio.timeout(s_max):
                word = await self._first
        except TimeoutError:
            word = None
        if word is None:
            raise Misconfigured("A part of the service did not start; its log lines above say why.")
        if "error" in word:
            raise Misconfigured(str(word["error"]))
        return word

    async def ask(self, word: Word, s_max: float) -> Word:
        """Tell it something; its answer. Raises Failure with its own sentence, Unavailable when it says nothing."""
        self._asked += 1
        number = self._asked
        answer: asyncio.Future[Word | None] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        if self._hearing.done():
            answer.set_result(None)
        else:
            self._tell({**word, "ask": number})
        try:
            async with asyncio.timeout(s_max):
                said = await answer
        except TimeoutError:
            said = None
        finally:
            del self._answers[number]
        if said is None:
            raise Unavailable("A part of the service does not answer.")
        if "error" in said:
            raise Failure(str(said["error"]))
        return said

    async def leaves(self) -> None:
        """Return when it has said that it ends, or has ended."""
        await self._leaving.wait()

    async def wait(self) -> int:
        return await self._process.wait()

    def signal(self, number: Signals) -> None:
        if self._process.returncode is None:
            self._process.send_signal(number)

    async def end(self, s_max: float, first: Signals = SIGTERM) -> None:
        """This signal, then SIGKILL after the limit."""
        self.signal(first)
        try:
            async with asyncio.timeout(s_max):
                await self._process.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        self.signal(SIGKILL)
        await self._process.wait()

    def _tell(self, word: Word) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(msgspec.json.encode(word) + b"\n")

    async def _hear(self) -> None:
        """All that it says, until it ends; then who still waits is told that nothing comes."""
        while (word := await self._word()) is not None:
            if "to" in word:
                waiting = self._answers.get(word["to"])
                if waiting is not None and not waiting.done():
                    waiting.set_result(word)
            elif "leaving" in word:
                self.said_leaving = True
                self._leaving.set()
            elif not self._first.done():
                self._first.set_result(word)
        self._leaving.set()
        for waiting in (self._first, *self._answers.values()):
            if not waiting.done():
                waiting.set_result(None)

    async def _word(self) -> Word | None:
        """Its next line; None when there is none, or what comes is no word of ours."""
        stdout = self._process.stdout
        try:
            return msgspec.json.decode(await stdout.readline() if stdout else b"", type=Word)
        except (msgspec.DecodeError, ValueError):  # asyncio raises ValueError for a line that is too long
            return None


async def start_child(
    command: Sequence[str],
    *,
    environ: Mapping[str, str],
    descriptors: Sequence[int] = (),
    first: Word,
) -> Child:
    """Start a child with these inherited descriptors; `first` is the first line of its stdin."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        pass_fds=tuple(descriptors),
        env=dict(environ),
        start_new_session=True,
        limit=LINE_BYTES_MAX,
    )
    if process.stdin is not None:
        process.stdin.write(msgspec.json.encode(first) + b"\n")
    return Child(process)


class Backoff:
    """How long to wait before a child is started again: doubling, and forgotten after it lived long enough."""

    FIRST_S = 0.2
    LONGEST_S = 30.0
    HEALTHY_S = 60.0

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._pause_s = self.FIRST_S
        self._started_s = now()

    def started(self) -> None:
        self._started_s = self._now()

    def pause_s(self) -> float:
        """The pause for the death that has just been seen."""
        if self._now() - self._started_s >= self.HEALTHY_S:
            self._pause_s = self.FIRST_S
        pause_s, self._pause_s = self._pause_s, min(self._pause_s * 2, self.LONGEST_S)
        return pause_s


def child_environ(home: str) -> dict[str, str]:
    """Our environment, with the data folder made explicit.

    The store's address may hold a password, and who opens the store is told it otherwise. What a service manager said
    was for us alone.
    """
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(_NOT_INHERITED)}
    return {**kept, "PARVIS_HOME": home, "PYTHONUNBUFFERED": "1"}
