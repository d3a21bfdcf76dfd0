"""When an engine is asked the same thing twice: only if it cannot have heard it, and then at once.

A connection that was kept may have been closed by the engine just as it is used again. That request was lost, and goes
out on a fresh connection. An engine that answered, whatever it said, is not asked again: that is for another replica.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
import uvloop

from parvis.adapters.engines.openai_http import HttpEngine
from parvis.core.errors import EngineUnavailable
from parvis.domain.fleet.replica import EngineKind
from parvis.flows.ports import Engine
from parvis.testing.engine_bench import Bench, ask
from parvis.testing.engine_servers import fake_bench
from parvis.testing.processes import FakeEngineProcess, fake_engine

KINDS = pytest.mark.parametrize("fields", [{}, {"stream": True}], ids=["whole", "streamed"])
GREETED = b'HTTP/1.1 200 OK\r\ncontent-length: 25\r\n\r\n{"choices":[],"usage":{}}'


def run(story: Callable[[Engine], Coroutine[Any, Any, None]]) -> None:
    """On a loop such as a gateway has."""

    async def told() -> None:
        engine = HttpEngine(asyncio.get_running_loop())
        try:
            await asyncio.wait_for(story(engine), 30)
        finally:
            engine.close()
            await asyncio.sleep(0.01)  # the loop closes what was aborted

    uvloop.run(told())


def at(process: FakeEngineProcess, bench: Bench) -> Bench:
    return replace(bench, replica=replace(bench.replica, address=process.address, api_key=""))


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """What is asked; each test has an engine of its own to ask it of."""
    with fake_bench(EngineKind.VLLM, "vllm") as bench:
        yield bench


@KINDS
@pytest.mark.parametrize("order", ["@status=429", "@status=503"])
def test_an_engine_that_refuses_is_asked_once(bench: Bench, order: str, fields: dict[str, Any]) -> None:
    with fake_engine(model="served-name") as process:

        async def story(engine: Engine) -> None:
            here = at(process, bench)
            await ask(engine, here.chat("Hello.", **fields))  # now there is a connection to use again
            with pytest.raises(EngineUnavailable):
                await ask(engine, here.chat(f"{order} Hello.", **fields))

        run(story)
        assert len(process.ended()) == 2


@KINDS
def test_what_an_engine_cannot_have_heard_is_asked_again(bench: Bench, fields: dict[str, Any]) -> None:
    with fake_engine(model="served-name", idle_close_ms=20) as process:

        async def story(engine: Engine) -> None:
            here = at(process, bench)
            await ask(engine, here.chat("Hello.", **fields))
            time.sleep(0.3)  # noqa: ASYNC251 - the engine closes, and our loop must not notice before it writes
            await ask(engine, here.chat("Are you there?", **fields))

        run(story)
        assert len(process.ended()) == 2


@KINDS
def test_an_engine_that_hangs_up_every_time_is_asked_twice_and_no_more(bench: Bench, fields: dict[str, Any]) -> None:
    with fake_engine(model="served-name") as process:

        async def story(engine: Engine) -> None:
            here = at(process, bench)
            await ask(engine, here.chat("Hello.", **fields))
            with pytest.raises(EngineUnavailable):
                await ask(engine, here.chat("@drop Hello.", **fields))

        run(story)
        assert len(process.ended()) == 3


@contextmanager
def stammering() -> Iterator[tuple[str, list[socket.socket]]]:
    """A server that answers the first request of a connection, and half a status line to the second."""
    connections: list[socket.socket] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connections.append(listener.accept()[0])
                for answer in (GREETED, b"HTTP/1.1 2"):
                    connections[-1].recv(1 << 16)
                    connections[-1].sendall(answer)
                connections[-1].close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", connections
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def test_an_engine_that_began_to_answer_is_not_asked_again(bench: Bench) -> None:
    with stammering() as (address, connections):

        async def story(engine: Engine) -> None:
            here = replace(bench, replica=replace(bench.replica, address=address))
            await ask(engine, here.chat("Hello."))
            with pytest.raises(EngineUnavailable):
                await ask(engine, here.chat("Hello again."))

        run(story)
    assert len(connections) == 1
