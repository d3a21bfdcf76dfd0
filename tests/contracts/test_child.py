"""Children of the supervisor, as real processes: what they say, what they are asked, and who follows them."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator

import pytest

from parvis.adapters.processes.child import Child, start_child
from parvis.app.crew import Post, together
from parvis.core.errors import Failure, Misconfigured, Unavailable

# Says what it was told first, then answers: `double` a number, refuse `no`, leave at `leave`, be silent otherwise.
BODY = """
import json, sys
first = json.loads(sys.stdin.readline())
print(json.dumps(first["say"]) if first["say"] else "{", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if asked["do"] == "double":
        print(json.dumps({"to": asked["ask"], "is": 2 * asked["number"]}), flush=True)
    elif asked["do"] == "no":
        print(json.dumps({"to": asked["ask"], "error": "I will not."}), flush=True)
    elif asked["do"] == "leave":
        print(json.dumps({"leaving": True}), flush=True)
"""
Started = list[Child]


@pytest.fixture
async def started() -> AsyncIterator[Started]:
    """Children that end with the test."""
    children: Started = []
    yield children
    await asyncio.gather(*(child.kill() for child in children))


async def child(started: Started, say: object = None) -> Child:
    told = {"say": say if say is not None else {"ready": True}}
    started.append(await start_child([sys.executable, "-c", BODY], environ=dict(os.environ), first=told))
    return started[-1]


async def test_answers_find_who_asked(started: Started) -> None:
    one = await child(started)
    assert await one.first_word(30) == {"ready": True}
    answers = await asyncio.gather(*(one.ask({"do": "double", "number": n}, 30) for n in range(50)))
    assert [answer["is"] for answer in answers] == list(range(0, 100, 2))
    with pytest.raises(Failure, match=r"I will not\."):
        await one.ask({"do": "no"}, 30)


async def test_silence_and_death_are_no_answer(started: Started) -> None:
    one = await child(started)
    await one.first_word(30)
    with pytest.raises(Unavailable):
        await one.ask({"do": "nothing"}, 0.1)
    assert (await one.ask({"do": "double", "number": 4}, 30))["is"] == 8
    waiting = asyncio.ensure_future(one.ask({"do": "nothing"}, 30))
    await asyncio.sleep(0)
    one.signal(signal.SIGKILL)
    with pytest.raises(Unavailable):
        await waiting
    await one.wait()
    with pytest.raises(Unavailable):
        await one.ask({"do": "double", "number": 4}, 30)


@pytest.mark.parametrize("say", [{"error": "No weights."}, ""])
async def test_one_that_does_not_begin_is_misconfigured(started: Started, say: object) -> None:
    one = await child(started, say)
    with pytest.raises(Misconfigured, match=r"No weights\." if say else "did not start"):
        await one.first_word(30)


async def test_a_post_is_taken_again_by_who_follows(started: Started) -> None:
    async def start() -> Child:
        one = await child(started)
        await one.first_word(30)
        return one

    changes = asyncio.Queue[Child | None]()
    post = Post("somebody", start, lambda: changes.put_nowait(post.child))
    await post.fill()
    first = await changes.get()
    assert first is not None
    await first.kill()
    assert await changes.get() is None
    second = await changes.get()
    assert second is not None
    with pytest.raises(Unavailable):
        await second.ask({"do": "leave"}, 0.1)  # it goes on for a while
    assert await changes.get() is None
    third = await changes.get()
    assert (post.child, second.exit_code) == (third, None)
    assert await post.replace() is third
    assert post.leave_open() is started[3]
    await asyncio.gather(*(one.kill() for one in started))
    await asyncio.sleep(0.5)
    assert (post.child, len(started)) == (None, 4)


async def test_what_is_done_together_fails_together() -> None:
    ended: list[str] = []

    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise Misconfigured("no")

    async def last() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.append("called off")

    with pytest.raises(Misconfigured):
        await together(last(), fail(), last())
    assert ended == ["called off"] * 2
