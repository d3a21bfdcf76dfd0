"""The supervisor's socket: who is heard, and what travels."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from parvis.app.orders import Line, OrderDesk, Word, order, path_of
from parvis.core.errors import Misconfigured


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path


async def obey(line: Line, word: Word) -> None:
    """Give a pipe's end to who asks for one; say what was said to anybody else."""
    if word["do"] != "pipe":
        line.say(word)
        return
    reading, writing = os.pipe()
    line.say({"gives": "pipe"}, [writing])
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        line.say({"read": (await asyncio.to_thread(pipe.read)).decode()})


@asynccontextmanager
async def desk(home: Path) -> AsyncIterator[OrderDesk]:
    desk = OrderDesk(home, obey)
    desk.open()
    try:
        yield desk
    finally:
        await desk.close()


async def test_what_is_ordered_is_answered(home: Path) -> None:
    async with desk(home):
        assert await order(home, {"do": "this", "with": "é" * 1000}) == {"do": "this", "with": "é" * 1000}
        with pytest.raises(Misconfigured, match="not now"):
            await order(home, {"do": "that", "error": "not now"})


async def test_descriptors_travel_beside_words(home: Path) -> None:
    async with desk(home):
        line = await Line.to(home)
        line.say({"do": "pipe"})
        assert await line.hear() == {"gives": "pipe"}
        (writing,) = line.take_descriptors()
        os.write(writing, b"through another hand")
        os.close(writing)
        assert await line.hear() == {"read": "through another hand"}
        assert await line.hear() is None
        line.close()


async def test_descriptors_that_nobody_takes_are_closed(home: Path) -> None:
    async with desk(home):
        reading, writing = os.pipe()
        line = await Line.to(home)
        line.say({"do": "this"}, [writing])
        os.close(writing)
        assert await line.hear() == {"do": "this"}
        assert await asyncio.to_thread(os.read, reading, 1) == b""
        line.close()
        os.close(reading)


async def test_nobody_else_is_heard(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(home):
        assert stat.S_IMODE(path_of(home).stat().st_mode) == 0o600
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)  # as if the service were another user's
        with pytest.raises(Misconfigured, match="ended before it answered"):
            await order(home, {"do": "this"})


async def test_what_makes_no_sense_ends_the_line(home: Path) -> None:
    async with desk(home):
        for nonsense in (b"{\n", b"[]\n", b"\xff\n", b"{" * 100_000):
            reader, writer = await asyncio.open_unix_connection(path_of(home))
            writer.write(nonsense)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
        assert await order(home, {"do": "this"}) == {"do": "this"}


async def test_who_comes_later_is_told_from_then_on(home: Path) -> None:
    async with desk(home):
        later = OrderDesk(home, obey)
        assert await order(home, {"do": "first"}) == {"do": "first"}
        await later.close()
        assert await order(home, {"do": "first"}) == {"do": "first"}
    async with desk(home):
        assert await order(home, {"do": "second"}) == {"do": "second"}
    assert sorted(path.name for path in (home / "run").iterdir()) == ["supervisor.sock"]


async def test_nobody_is_there(home: Path) -> None:
    with pytest.raises(Misconfigured, match=f"No service runs with the data folder {home}"):
        await order(home, {"do": "this"})
    async with desk(home):
        pass
    with pytest.raises(Misconfigured, match="parvis up"):
        await order(home, {"do": "this"})


def test_a_path_that_is_too_long_is_named(tmp_path: Path) -> None:
    home = tmp_path / ("x" * 100)
    (home / "run").mkdir(parents=True)
    with pytest.raises(Misconfigured, match="PARVIS_HOME"):
        OrderDesk(home, obey)
