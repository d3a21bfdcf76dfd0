"""One child process: started in a session of its own, heard by JSON lines, ended politely, then not."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from parvis.core.errors import Misconfigured

LINE_BYTES_MAX = 1 << 20


class Child:
    """A running child. Its stdin stays open as long as we live: its end tells the child that we are gone."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode

    async def first_word(self, s_max: float) -> dict[str, Any]:
        """Its first JSON line. Raises Misconfigured with the child's own sentence, or when it says nothing."""
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101 - it was started with a pipe
        try:
            async with asyncio.timeout(s_max):
                line = await stdout.readline()
            word = msgspec.json.decode(line, type=dict[str, Any])
        except (TimeoutError, msgspec.DecodeError):
            raise Misconfigured("A part of the service did not start; its log lines above say why.") from None
        if "error" in word:
            raise Misconfigured(str(word["error"]))
        return word

    async def wait(self) -> int:
        return await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            self._process.send_signal(number)

    async def end(self, s_max: float) -> None:
        """SIGTERM, then SIGKILL after the limit."""
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(s_max):
                await self._process.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self._process.wait()


async def start_child(
    command: Sequence[str],
    *,
    environ: Mapping[str, str],
    descriptors: Sequence[int] = (),
    first_line: bytes = b"",
) -> Child:
    """Start a child with these inherited descriptors; `first_line` is written to its stdin."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        pass_fds=tuple(descriptors),
        env=dict(environ),
        start_new_session=True,
        limit=LINE_BYTES_MAX,
    )
    if first_line and process.stdin is not None:
        process.stdin.write(first_line)
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
    """Our environment, with the data folder made explicit."""
    return {**os.environ, "PARVIS_HOME": home, "PYTHONUNBUFFERED": "1"}
