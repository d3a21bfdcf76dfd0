"""What every child process of the supervisor does: tie its life to its parent, and speak with it by JSON lines.

The first line that comes tells how to begin; each later one is asked and gets an answer. What a child must know of the
settings comes this way too: a file that was changed, or broken, in the meantime changes nothing for who starts again.
"""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from parvis.core.errors import Failure
from parvis.settings import Settings

_PR_SET_PDEATHSIG = 1
Word = dict[str, Any]
Answer = Callable[[Word], Awaitable[Word]]
"""What was asked -> what is said in return. Raises Failure."""


def die_with_parent() -> None:
    """Ask the kernel to kill us when our parent dies. Linux; elsewhere the closed pipe (below) does it."""
    if sys.platform == "linux":
        parent = os.getppid()  # in a container it may well be process 1
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            # It died before we asked.
            sys.exit(1)


def first_word() -> Word:
    """The line that tells how to begin. Blocks; reads nothing of what comes after it."""
    line = b""
    while not line.endswith(b"\n"):
        read = os.read(sys.stdin.fileno(), 1)
        if not read:
            sys.exit(1)  # the parent died before it said anything
        line += read
    return msgspec.json.decode(line, type=Word)


def report(word: Word) -> None:
    """Tell the supervisor, in one line."""
    with suppress(BrokenPipeError):  # it died, and so do we
        print(msgspec.json.encode(word).decode(), file=sys.__stdout__, flush=True)


def print_to_the_log() -> None:
    """What libraries print, and their own C code, is no word to the supervisor: it goes where the log goes."""
    words = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.__stdout__ = os.fdopen(words, "w", encoding="utf-8")  # type: ignore[misc]  # a name that is ours to bind
    sys.stdout = sys.stderr


class Parent:
    """The supervisor's pipe: what is asked is answered in its order, and its end tells us to stop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, stop: Callable[[], None], answer: Answer) -> None:
        self._loop = loop
        self._stop = stop
        self._answer = answer
        self._buffer = b""
        self._in_order = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def hear(self) -> None:
        """From now on, for ever."""
        self._loop.add_signal_handler(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's alone
        self._loop.add_reader(sys.stdin.fileno(), self._readable)

    def _readable(self) -> None:
        read = os.read(sys.stdin.fileno(), 1 << 16)
        if not read:
            self._loop.remove_reader(sys.stdin.fileno())
            self._stop()
        *lines, self._buffer = (self._buffer + read).split(b"\n")
        for line in lines:
            task = self._loop.create_task(self._say(msgspec.json.decode(line, type=Word)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _say(self, asked: Word) -> None:
        async with self._in_order:
            try:
                said = await self._answer(asked)
            except Failure as failure:
                said = {"error": str(failure)}
        report({**said, "to": asked["ask"]})


def word_of(settings: Settings) -> Word:
    """The settings as one word can carry them, what they hold of secrets included: only ever said through a pipe."""
    word: Word = msgspec.to_builtins(settings, enc_hook=str)
    return word


def settings_of(word: Word) -> Settings:
    """The other way."""
    return msgspec.convert(word, Settings, dec_hook=lambda _, text: Path(text))
