"""An engine that freezes or dies: what waits for it goes elsewhere, what had begun ends, and a look at it tells."""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from typing import Any

import pytest
import uvloop

from parvis.adapters.engines.openai_http import HttpEngine
from parvis.adapters.engines.unreachable import sentence
from parvis.core.errors import EngineUnavailable, KeyRefused, Misconfigured
from parvis.domain.fleet.health import Life
from parvis.domain.fleet.replica import EngineKind
from parvis.domain.metering.records import Outcome
from parvis.flows.ports import EngineHungUp
from parvis.testing.engine_bench import Bench, Client
from parvis.testing.engine_servers import fake_bench
from parvis.testing.processes import FakeEngineProcess, fake_engine

SOON_S = 10.0
KINDS = [(EngineKind.LLAMA_CPP, "llamacpp"), (EngineKind.OPENAI, "plain"), (EngineKind.VLLM, "vllm")]


def run(story: Callable[[HttpEngine], Coroutine[Any, Any, None]]) -> None:
    async def told() -> None:
        engine = HttpEngine(asyncio.get_running_loop())
        try:
            await asyncio.wait_for(story(engine), 30)
        finally:
            engine.close()
            await asyncio.sleep(0.01)

    uvloop.run(told())


@pytest.fixture
def process() -> Iterator[FakeEngineProcess]:
    with fake_engine(model="served-name") as engine:
        yield engine


@pytest.fixture(scope="module")
def any_bench() -> Iterator[Bench]:
    with fake_bench(EngineKind.VLLM, "vllm") as bench:
        yield bench


@pytest.fixture
def bench(any_bench: Bench, process: FakeEngineProcess) -> Bench:
    """What is asked; each test has an engine of its own to ask it of."""
    return replace(any_bench, replica=replace(any_bench.replica, address=process.address, api_key=""))


@pytest.mark.parametrize("fields", [{}, {"stream": True}], ids=["whole", "streamed"])
def test_who_waits_at_a_frozen_engine_is_sent_elsewhere(
    bench: Bench, process: FakeEngineProcess, fields: dict[str, Any]
) -> None:
    async def story(engine: HttpEngine) -> None:
        process.pause()
        waiting = [asyncio.create_task(Client().listen(engine, bench.chat("Hello.", **fields))) for _ in range(3)]
        await asyncio.sleep(0.2)
        assert engine.stalls.desert("another") == 0
        assert engine.stalls.desert(bench.replica.replica_id) == 3
        failures = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), SOON_S)
        assert [type(failure) for failure in failures] == [EngineUnavailable] * 3
        assert engine.stalls.desert(bench.replica.replica_id) == 0

    run(story)


def test_who_has_the_beginning_of_an_answer_is_not_sent_elsewhere(bench: Bench, process: FakeEngineProcess) -> None:
    async def story(engine: HttpEngine) -> None:
        client = Client()
        heard = asyncio.create_task(client.listen(engine, bench.chat("@tokens=20 @gap_ms=50 Go on.", stream=True)))
        await client.hears(2)
        assert engine.stalls.desert(bench.replica.replica_id) == 0
        assert (await heard).delivery.outcome is Outcome.COMPLETED

    run(story)
    assert len(process.ended()) == 1


def test_an_answer_that_does_not_go_on_ends_and_says_so(bench: Bench, process: FakeEngineProcess) -> None:
    async def story(engine: HttpEngine) -> None:
        client = Client()
        heard = asyncio.create_task(client.listen(engine, bench.chat("@tokens=24 @gap_ms=20 Go on.", stream=True)))
        await client.hears(3)
        assert engine.stalls.sweep(100, 5) == set()
        await client.hears(6)
        assert engine.stalls.sweep(101, 5) == {bench.replica.replica_id}
        process.pause()
        await asyncio.sleep(0.1)  # what it had sent arrives
        for second in (102, 103, 104, 105, 120, 121, 122, 123, 124):  # from 105 to 120 we stood still ourselves
            engine.stalls.sweep(second, 5)
        assert not heard.done()
        assert engine.stalls.sweep(125, 5) == set()
        delivery = (await asyncio.wait_for(heard, SOON_S)).delivery
        assert delivery.outcome is Outcome.ENGINE_BROKE
        assert "nothing more for 5 seconds" in delivery.error
        assert delivery.tokens.completion_total >= 2

    run(story)


def test_an_answer_that_waits_for_its_client_does_not_stall(bench: Bench) -> None:
    async def story(engine: HttpEngine) -> None:
        client = Client()
        heard = asyncio.create_task(client.listen(engine, bench.chat("@tokens=20 @gap_ms=20 Go on.", stream=True)))
        await client.hears(3)
        flow = await client.is_attached()
        flow.pause()
        for second in range(100, 200):
            engine.stalls.sweep(second, 5)
        flow.resume()
        assert (await heard).delivery.outcome is Outcome.COMPLETED

    run(story)


@pytest.mark.parametrize(("kind", "flavour"), KINDS)
def test_a_whole_answer_that_breaks_off_goes_elsewhere_whatever_the_engine_was_asked_for(
    kind: EngineKind, flavour: Any
) -> None:
    async def story(engine: HttpEngine) -> None:
        with fake_bench(kind, flavour) as bench:
            heard = asyncio.create_task(Client().listen(engine, bench.chat("@tokens=24 @gap_ms=50 Go on.")))
            await asyncio.sleep(0.4)
            bench.kill()
            with pytest.raises(EngineUnavailable):
                await asyncio.wait_for(heard, SOON_S)

    run(story)


def test_a_look_tells_whether_it_lives(bench: Bench, process: FakeEngineProcess) -> None:
    async def story(engine: HttpEngine) -> None:
        async def look() -> Life | None:
            seen = await engine.prober.look(bench.replica)
            return None if seen is None else seen.life

        assert [await look(), await look()] == [Life.ALIVE] * 2
        process.faults(health_status=404)
        assert await look() is Life.ALIVE
        process.faults(health_status=503)
        assert await look() is Life.REFUSED
        process.faults()
        process.pause()
        assert await look() is Life.SILENT
        process.resume()
        assert await look() is Life.ALIVE
        process.kill()
        assert await look() is Life.REFUSED
        process.restart()
        assert await look() is Life.ALIVE

    run(story)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://not..a.name:9", "Its name does not resolve: it is none that a name server could know."),
        ("http://-no_name!:9", "Its name does not resolve: Name or service not known."),
        ("http://127.0.0.1:9", "Nothing listens there."),
    ],
)
def test_each_cause_of_no_connection_has_its_own_words(bench: Bench, address: str, why: str) -> None:
    nowhere = replace(bench, replica=replace(bench.replica, address=address))

    async def story(engine: HttpEngine) -> None:
        seen = await engine.prober.look(nowhere.replica)
        assert seen is not None
        assert (seen.life, seen.why) == (Life.REFUSED, why)
        with pytest.raises(EngineUnavailable) as failed:
            await Client().listen(engine, nowhere.chat("Hello."))
        assert failed.value.reason == why

    run(story)


def test_other_causes_too() -> None:
    told = {
        socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"): "resolve: Temporary failure",
        TimeoutError(): "in time",
        Misconfigured("tls_ca = x cannot be used."): "No TLS connection to it: tls_ca = x",
        OSError("Multiple exceptions: [Errno 111] Connect call refused"): "Nothing listens",
        ConnectionResetError(): "hangs up",
        OSError(113, "No route to host"): "No route to host.",
    }
    assert [words for problem, words in told.items() if words not in sentence(problem)] == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_is_told_with_the_status(bench: Bench, status: int) -> None:
    async def story(engine: HttpEngine) -> None:
        with pytest.raises(KeyRefused) as failed:
            await Client().listen(engine, bench.chat(f"@status={status} Hello."))
        assert failed.value.reason == f"It refuses our key ({status})."
        assert failed.value.code == "engine_misconfigured"

    run(story)


@pytest.mark.parametrize("fields", [{}, {"stream": True}], ids=["whole", "streamed"])
def test_an_engine_that_dies_of_a_request_hung_up_on_it(
    bench: Bench, process: FakeEngineProcess, fields: dict[str, Any]
) -> None:
    """On a connection that was idle too: that it refuses another one then is no news."""

    async def story(engine: HttpEngine) -> None:
        await Client().listen(engine, bench.chat("@tokens=1 Hello."))
        asked = asyncio.create_task(Client().listen(engine, bench.chat("@first_ms=9000 Hello.", **fields)))
        await asyncio.sleep(0.3)
        process.kill()
        with pytest.raises(EngineHungUp):
            await asyncio.wait_for(asked, SOON_S)

    run(story)
