"""Ranking before the fake engine in each flavour, and before the real one with the weights of its embeddings."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from parvis.domain.fleet.profile import PROFILES
from parvis.domain.fleet.replica import EngineKind
from parvis.flows.ports import Engine
from parvis.testing.engine_bench import Bench, ask
from parvis.testing.engine_servers import fake_bench, keep, llama_server
from parvis.testing.engine_suite import Promise
from parvis.testing.fake_engine.flavours import Flavour
from parvis.testing.rerank_suite import COSINE_PROMISES, RERANKER_PROMISES, who_has_no_page_says_so

FLAVOURS: dict[EngineKind, Flavour] = {
    EngineKind.VLLM: "vllm",
    EngineKind.LLAMA_CPP: "llamacpp",
    EngineKind.SGLANG: "sglang",
    EngineKind.TGI: "tgi",
    EngineKind.OLLAMA: "ollama",
    EngineKind.OPENAI: "plain",
}
LIES = "a_false_count_of_a_reranker_is_not_believed"


@pytest.fixture(scope="module")
def fakes() -> Iterator[dict[EngineKind, Bench]]:
    with ExitStack() as stack:
        yield {kind: stack.enter_context(fake_bench(kind, flavour)) for kind, flavour in FLAVOURS.items()}


def promises_of(kind: EngineKind) -> tuple[Promise, ...]:
    if not PROFILES[kind].rerank:
        return (*COSINE_PROMISES, who_has_no_page_says_so)
    told = [one for one in RERANKER_PROMISES if kind is not EngineKind.SGLANG or one.__name__ != LIES]
    return (*COSINE_PROMISES, *told)


def cells() -> list[Any]:
    return [
        pytest.param(kind, promise, id=f"{kind}-{promise.__name__}")
        for kind in FLAVOURS
        for promise in promises_of(kind)
    ]


@pytest.mark.parametrize(("kind", "promise"), cells())
def test_an_engine(kind: EngineKind, promise: Promise, fakes: dict[EngineKind, Bench]) -> None:
    keep(promise, fakes[kind])


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with llama_server("embedding", tmp_path_factory.mktemp("weights")) as server:
        yield server.bench(EngineKind.LLAMA_CPP)


@pytest.mark.parametrize("promise", COSINE_PROMISES)
def test_the_real_engine(promise: Promise, real: Bench) -> None:
    keep(promise, real)


async def what_is_meant_comes_first(engine: Engine, bench: Bench) -> None:
    about = ["Invoices are due in thirty days.", "A kitten naps on the warm sofa.", "The motor needs new oil."]
    for query, expected in (("a sleeping cat", 1), ("when do I have to pay the bill?", 0), ("repair of a car", 2)):
        results = (await ask(engine, bench.ranking(query, about))).body["results"]
        assert results[0]["index"] == expected, query


def test_the_real_engine_finds_what_is_meant(real: Bench) -> None:
    keep(what_is_meant_comes_first, real)
