"""The engine's promises, kept by the HTTP adapter before the fake engine, in each flavour behind its kind.

A gap is a promise that is expected to be broken: the day that it holds, its test turns red and the gap goes.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from parvis.domain.fleet.replica import EngineKind
from parvis.testing import engine_suite as suite
from parvis.testing.counting_suite import COUNTING_PROMISES
from parvis.testing.embedding_suite import EMBEDDING_PROMISES
from parvis.testing.engine_bench import Bench
from parvis.testing.engine_servers import fake_bench, keep
from parvis.testing.engine_table import PLAYED, gap_of
from parvis.testing.sameness_suite import SAMENESS_PROMISES

EVERY = suite.PROMISES + COUNTING_PROMISES + SAMENESS_PROMISES + EMBEDDING_PROMISES


@pytest.fixture(scope="module")
def fakes() -> Iterator[dict[EngineKind, Bench]]:
    with ExitStack() as stack:
        yield {kind: stack.enter_context(fake_bench(kind, played.flavour)) for kind, played in PLAYED.items()}


def cell(kind: EngineKind, promise: suite.Promise) -> Any:
    """One kind with one promise; what is a gap is expected to fail."""
    gap = gap_of(kind, promise, PLAYED[kind].gaps)
    marks = [pytest.mark.xfail(reason=gap, strict=True)] if gap else []
    return pytest.param(kind, promise, id=f"{kind}-{promise.__name__}", marks=marks)


def cells(promises: tuple[suite.Promise, ...]) -> list[Any]:
    return [cell(kind, promise) for kind in PLAYED for promise in promises]


@pytest.mark.parametrize(("kind", "promise"), cells(EVERY))
def test_an_engine(kind: EngineKind, promise: suite.Promise, fakes: dict[EngineKind, Bench]) -> None:
    keep(promise, fakes[kind])


@pytest.mark.parametrize(("kind", "promise"), cells(suite.LAST_PROMISES))
def test_an_engine_that_dies(kind: EngineKind, promise: suite.Promise) -> None:
    with fake_bench(kind, PLAYED[kind].flavour) as bench:
        keep(promise, bench)
