"""What is billed when an engine's count is missing or cannot be, and nobody has a tokenizer: less than what came."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import uvloop

from parvis.adapters.engines.openai_http import HttpEngine
from parvis.domain.catalog.model import Capability
from parvis.domain.fleet.replica import EngineKind
from parvis.domain.metering.records import Outcome
from parvis.testing.engine_bench import Bench, Client, Heard, ask
from parvis.testing.engine_servers import fake_bench
from parvis.testing.processes import FakeEngineProcess, fake_engine

KINDS = pytest.mark.parametrize("fields", [{}, {"stream": True}], ids=["whole", "streamed"])


@pytest.fixture(scope="module")
def process() -> Iterator[FakeEngineProcess]:
    with fake_engine(model="served-name", flavour="plain") as process:
        process.faults(no_tokenizer=True)
        yield process


@pytest.fixture(scope="module")
def bench(process: FakeEngineProcess) -> Iterator[Bench]:
    with fake_bench(EngineKind.OPENAI, "plain") as bench:
        yield replace(bench, replica=replace(bench.replica, address=process.address, api_key=""))


def hear(bench: Bench, text: str, **fields: Any) -> Heard:
    """On a loop such as a gateway has."""

    async def heard() -> Heard:
        engine = HttpEngine(asyncio.get_running_loop())
        try:
            return await asyncio.wait_for(ask(engine, bench.chat(text, **fields)), 30)
        finally:
            engine.close()
            await asyncio.sleep(0.01)  # the loop closes what was aborted

    return uvloop.run(heard())


@KINDS
@pytest.mark.parametrize("order", ["@no_usage", "@negative_usage", "@wrong_usage=900000"])
def test_an_estimate_is_marked_and_not_above_what_came(bench: Bench, order: str, fields: dict[str, Any]) -> None:
    heard = hear(bench, f"{order} @tokens=20 @reason=4 Say it.", **fields)
    delivery = heard.delivery
    assert delivery.estimated
    assert bool(delivery.quarantined) == (order != "@no_usage")
    assert 0 < delivery.tokens.output <= 20
    assert 0 < delivery.tokens.reasoning <= 4
    assert delivery.tokens.prompt_total > 0


@KINDS
def test_reasoning_that_nobody_can_count_is_estimated_inside_the_engines_sum(
    bench: Bench, fields: dict[str, Any]
) -> None:
    for orders in ("@reason=5 @tokens=7 @no_reasoning_usage", "@reason=5 @tokens=7 @think"):
        thinker = replace(bench, model=replace(bench.model, capabilities=(Capability.CHAT, Capability.REASONING)))
        delivery = hear(thinker, f"{orders} Think.", **fields).delivery
        assert delivery.tokens.completion_total == 12
        assert 0 < delivery.tokens.reasoning < 12
        assert delivery.estimated
        assert not delivery.quarantined


def test_a_client_that_leaves_pays_for_what_came(bench: Bench) -> None:
    async def heard() -> Heard:
        engine, client = HttpEngine(asyncio.get_running_loop()), Client()
        job = bench.chat("@tokens=500 @gap_ms=2 Say it.", stream=True, output_tokens_max=500)
        listening = asyncio.create_task(client.listen(engine, job))
        await client.hears(6)
        assert client.flow is not None
        client.flow.cancel()
        try:
            return await asyncio.wait_for(listening, 30)
        finally:
            engine.close()
            await asyncio.sleep(0.01)

    told = uvloop.run(heard())
    assert told.delivery.outcome is Outcome.CLIENT_LEFT
    assert told.delivery.estimated
    assert 0 < told.delivery.tokens.completion_total <= told.text().count(" ")
