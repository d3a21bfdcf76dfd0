"""The engine's promises before the real llama.cpp: as the embedded engine, and as any server by its address.

A gap is a promise that is expected to be broken: the day that it holds, its test turns red and the gap goes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parvis.domain.fleet.replica import EngineKind
from parvis.testing import engine_suite as suite
from parvis.testing.counting_suite import COUNTING_PROMISES
from parvis.testing.embedding_suite import EMBEDDING_PROMISES
from parvis.testing.engine_servers import LlamaServer, keep, llama_server
from parvis.testing.engine_table import RUN, gap_of
from parvis.testing.sameness_suite import SAMENESS_PROMISES

CASES = (EngineKind.LLAMA_CPP, EngineKind.OPENAI)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def chat(cache: Path) -> Iterator[LlamaServer]:
    with llama_server("chat", cache) as server:
        yield server


@pytest.fixture(scope="module")
def embedding(cache: Path) -> Iterator[LlamaServer]:
    with llama_server("embedding", cache) as server:
        yield server


def cell(kind: EngineKind, promise: suite.Promise) -> Any:
    """One case with one promise; what is a gap is expected to fail."""
    gap = gap_of(kind, promise, RUN[kind])
    marks = [pytest.mark.xfail(reason=gap, strict=True)] if gap else []
    return pytest.param(kind, promise, id=f"{kind}-{promise.__name__}", marks=marks)


def cells(promises: tuple[suite.Promise, ...]) -> list[Any]:
    return [cell(kind, promise) for kind in CASES for promise in promises]


@pytest.mark.parametrize(("kind", "promise"), cells(suite.PROMISES + COUNTING_PROMISES + SAMENESS_PROMISES))
def test_a_chat_engine(kind: EngineKind, promise: suite.Promise, chat: LlamaServer) -> None:
    keep(promise, chat.bench(kind))


@pytest.mark.parametrize(("kind", "promise"), cells(EMBEDDING_PROMISES))
def test_an_embedding_engine(kind: EngineKind, promise: suite.Promise, embedding: LlamaServer) -> None:
    keep(promise, embedding.bench(kind))


@pytest.mark.parametrize(("kind", "promise"), cells(suite.LAST_PROMISES))
def test_a_chat_engine_that_dies(kind: EngineKind, promise: suite.Promise, cache: Path) -> None:
    with llama_server("chat", cache) as server:
        keep(promise, server.bench(kind))
