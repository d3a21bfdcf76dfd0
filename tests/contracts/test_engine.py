"""The engine's promises, kept by the HTTP adapter before the fake engine, in each flavour behind its kind.

A gap is a promise that is expected to be broken: the day that it holds, its test turns red and the gap goes.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest

from parvis.domain.fleet.replica import EngineKind
from parvis.testing import engine_suite as suite
from parvis.testing.counting_suite import COUNTING_PROMISES
from parvis.testing.embedding_suite import EMBEDDING_PROMISES
from parvis.testing.engine_bench import Bench
from parvis.testing.engine_servers import (
    FAKE_GAPS,
    FAKE_LLAMA_GAPS,
    FAKE_OLLAMA_GAPS,
    FAKE_TGI_GAPS,
    fake_bench,
    keep,
)
from parvis.testing.fake_engine.flavours import Flavour


class Case(NamedTuple):
    """A kind of engine before a flavour of the fake, and what this one cannot show."""

    kind: EngineKind
    flavour: Flavour
    gaps: suite.Gaps


CASES = (
    Case(EngineKind.VLLM, "vllm", FAKE_GAPS),
    Case(EngineKind.LLAMA_CPP, "llamacpp", FAKE_LLAMA_GAPS),
    Case(EngineKind.SGLANG, "sglang", FAKE_GAPS),
    Case(EngineKind.TGI, "tgi", FAKE_TGI_GAPS),
    Case(EngineKind.OLLAMA, "ollama", FAKE_OLLAMA_GAPS),
    Case(EngineKind.OPENAI, "plain", FAKE_GAPS),
)


@pytest.fixture(scope="module")
def fakes() -> Iterator[dict[EngineKind, Bench]]:
    with ExitStack() as stack:
        yield {case.kind: stack.enter_context(fake_bench(case.kind, case.flavour)) for case in CASES}


def cell(case: Case, promise: suite.Promise) -> Any:
    """One case with one promise; what is a gap is expected to fail."""
    gap = {**suite.GAPS[case.kind], **case.gaps}.get(promise)
    marks = [pytest.mark.xfail(reason=gap, strict=True)] if gap else []
    return pytest.param(case, promise, id=f"{case.kind}-{promise.__name__}", marks=marks)


def cells(promises: tuple[suite.Promise, ...]) -> list[Any]:
    return [cell(case, promise) for case in CASES for promise in promises]


@pytest.mark.parametrize(("case", "promise"), cells(suite.PROMISES + COUNTING_PROMISES + EMBEDDING_PROMISES))
def test_an_engine(case: Case, promise: suite.Promise, fakes: dict[EngineKind, Bench]) -> None:
    keep(promise, fakes[case.kind])


@pytest.mark.parametrize(("case", "promise"), cells(suite.LAST_PROMISES))
def test_an_engine_that_dies(case: Case, promise: suite.Promise) -> None:
    with fake_bench(case.kind, case.flavour) as bench:
        keep(promise, bench)
