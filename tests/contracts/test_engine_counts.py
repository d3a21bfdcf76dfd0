"""The engines' own counters against the ledger: no difference when all is right, and a planted one is seen."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvloop

from parvis.adapters.engines.counters import EngineCounters, counters_of
from parvis.adapters.engines.openai_http import HttpEngine
from parvis.adapters.engines.upstream import Upstreams
from parvis.adapters.store.store import SqlStore
from parvis.core.clock import SystemClock
from parvis.core.ids import new_id
from parvis.domain.fleet.replica import EngineKind
from parvis.domain.metering.comparison import Comparison, Counters
from parvis.domain.metering.records import Operation, Settled, Started, UsageRecord
from parvis.flows.engine_counts import EngineCounts, Uncompared
from parvis.flows.ports import Job
from parvis.testing.empty_store import empty_store
from parvis.testing.engine_bench import Bench, Client, Heard, ask
from parvis.testing.engine_servers import fake_bench, llama_server
from parvis.testing.fake_engine.flavours import Flavour
from parvis.testing.processes import fake_engine
from parvis.testing.store_suite import PRICES, settle_in
from parvis.wire.chat_shapes import ChatBody

FAKES: tuple[tuple[EngineKind, Flavour], ...] = ((EngineKind.VLLM, "vllm"), (EngineKind.LLAMA_CPP, "llamacpp"))
STORY_S_MAX = 90
_positions = count(1)


class House(NamedTuple):
    """An engine, a ledger, and who compares them."""

    bench: Bench
    engine: HttpEngine
    store: SqlStore
    counts: EngineCounts

    async def use(self, job: Job) -> Heard:
        """Ask, and book what was delivered."""
        started_unix_ms = SystemClock().unix_ms()
        return await self.book(started_unix_ms, await ask(self.engine, job))

    async def book(self, started_unix_ms: int, heard: Heard) -> Heard:
        request_id, replica_id = new_id("req", started_unix_ms), self.bench.replica.replica_id
        who = ("org", "unlimited", "key", "model", Operation.CHAT, replica_id, PRICES.version)
        begun = Started(request_id, *who, 0, True, started_unix_ms)  # noqa: FBT003 - as the record has it
        record = UsageRecord(begun, Settled(request_id, heard.delivery.outcome, heard.delivery.tokens))
        await self.store.ingest("run", next(_positions), [record])
        return heard

    async def compared(self) -> Comparison:
        [found] = await self.counts.compare_all()
        assert isinstance(found, Comparison), found
        return found


def tell(story: Callable[[House], Coroutine[Any, Any, None]], bench: Bench, folder: Path) -> None:
    """On a loop of its own, with a store of its own."""

    async def told() -> None:
        loop = asyncio.get_running_loop()
        store, upstreams, engine = SqlStore(empty_store(folder / "counts.sqlite")), Upstreams(loop), HttpEngine(loop)
        await store.open()
        try:
            await settle_in(store)
            source = EngineCounters(upstreams)
            counts = EngineCounts(source, store, SystemClock(), lambda: [bench.replica], lambda: 0)
            async with asyncio.timeout(STORY_S_MAX):
                await story(House(bench, engine, store, counts))
        finally:
            engine.close()
            upstreams.close()
            await store.close()
            await asyncio.sleep(0.01)  # the loop closes what was aborted

    uvloop.run(told())


async def some_chats(house: House) -> None:
    """Whole and streamed, one prompt twice so that some of it is cached, several choices, a completion."""
    bench = house.bench
    await house.counts.look()
    for job in (
        bench.chat(bench.words.short),
        bench.chat(bench.words.short, stream=True),
        bench.chat(bench.words.short, n=2, output_tokens_max=6),
        bench.completion([bench.words.begin, bench.words.begin + " little"], output_tokens_max=4),
    ):
        assert (await house.use(job)).delivery.tokens.total > 0


async def nothing_is_missing(house: House) -> None:
    await some_chats(house)
    found = await house.compared()
    assert (found.prompt_difference, found.completion_difference) == (0, 0), found
    assert (found.booked.requests, found.running) == (4, 0)
    assert found.engine_completion_tokens > 0


async def a_request_that_is_not_booked_is_missing(house: House) -> None:
    await some_chats(house)
    heard = await ask(house.engine, house.bench.chat(house.bench.words.short))
    found = await house.compared()
    assert found.completion_difference == heard.delivery.tokens.completion_total > 0


async def who_left_is_named(house: House) -> None:
    """The engine computed more than was delivered, or as much; the row says that it was cut."""
    await house.counts.look()
    started_unix_ms, client = SystemClock().unix_ms(), Client()
    job = house.bench.chat(house.bench.words.long, stream=True, output_tokens_max=500)
    listening = asyncio.create_task(client.listen(house.engine, job))
    await client.hears(5)
    assert client.flow is not None
    client.flow.cancel()
    await house.book(started_unix_ms, await listening)
    found = await house.compared()
    assert found.booked.cut_requests == 1
    assert found.completion_difference >= 0


@pytest.fixture(scope="module", params=FAKES, ids=[kind for kind, _ in FAKES])
def fake(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with fake_bench(*request.param) as bench:
        yield bench


@pytest.mark.parametrize("story", [nothing_is_missing, a_request_that_is_not_booked_is_missing, who_left_is_named])
def test_a_fake_engine(story: Callable[[House], Coroutine[Any, Any, None]], fake: Bench, tmp_path: Path) -> None:
    tell(story, fake, tmp_path)


def test_llama_cpp(tmp_path: Path) -> None:
    """All stories on the real engine, and its tokenizer: an estimate is the prompt that is counted afterwards."""

    async def all_of_them(house: House) -> None:
        await nothing_is_missing(house)
        for job in (
            house.bench.chat("How are you, naïve 日本?"),
            house.bench.chat(
                "", messages=[{"role": "developer", "content": "Brief."}, {"role": "user", "content": "Hi"}]
            ),
        ):
            chat = job.request.body
            assert isinstance(chat, ChatBody)
            before = await house.engine.tokenizer.count_chat(job.replica, job.model.engine_model, chat)
            assert before == (await house.use(job)).delivery.tokens.prompt_total
        assert await house.engine.tokenizer.count(house.bench.replica, "any", "one two three") == 3
        assert (await house.compared()).difference == 0

    with llama_server("chat", tmp_path) as server:
        tell(all_of_them, server.bench(EngineKind.LLAMA_CPP), tmp_path)


def test_a_planted_miscount_is_a_difference(tmp_path: Path) -> None:
    with fake_engine(model="served-name") as process, fake_bench(EngineKind.VLLM, "vllm") as known:
        bench = replace(known, replica=replace(known.replica, address=process.address, api_key=""))

        async def miscounted(house: House) -> None:
            await some_chats(house)
            process.faults(miscount=7)
            found = await house.compared()
            assert (found.difference, found.completion_difference) == (7, 7)

        tell(miscounted, bench, tmp_path)


def test_an_engine_that_counts_nothing_is_not_compared(tmp_path: Path) -> None:
    async def silent(house: House) -> None:
        house.bench.kill()
        [found] = await house.counts.compare_all()
        assert isinstance(found, Uncompared)

    with fake_bench(EngineKind.VLLM, "vllm") as bench:
        tell(silent, bench, tmp_path)


LLAMA_PAGE = """llamacpp:prompt_tokens_total 3
llamacpp:tokens_predicted_total 5
llamacpp:requests_processing 0
llamacpp:requests_deferred 0
"""
VLLM_PAGE = """vllm:num_requests_running{engine="0"} 1.0
vllm:num_requests_waiting{engine="0"} 2.0
vllm:prompt_tokens_total{engine="0",model_name="a"} 3.0
vllm:prompt_tokens_total{engine="1",model_name="a"} 1e+03
vllm:generation_tokens_total{engine="0"} 5.0
"""


SGLANG_PAGE = """# TYPE sglang:prompt_tokens_total counter
sglang:prompt_tokens_total{model_name="b"} 8.128902e+06
sglang:generation_tokens_total{model_name="b"} 7.557572e+06
sglang:num_running_reqs{model_name="b"} 162.0
sglang_num_queue_reqs{model_name="b"} 2826.0
"""


@pytest.mark.parametrize(
    ("page", "counters"),
    [
        ("", None),
        ("# HELP x\nvllm:prompt_tokens_total 3\n", None),
        (VLLM_PAGE, Counters(1003, 5, 3, counts_cached=True)),
        (LLAMA_PAGE, Counters(3, 5, 0, counts_cached=False)),
        (SGLANG_PAGE, Counters(8_128_902, 7_557_572, 2_988, counts_cached=True)),
    ],
)
def test_the_pages_of_engines_are_read(page: str, counters: Counters | None) -> None:
    assert counters_of(page) == counters
