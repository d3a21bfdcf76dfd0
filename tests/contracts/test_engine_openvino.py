"""The engine's promises before the real OpenVINO, in our own worker.

A gap is a promise that is expected to be broken: the day that it holds, its test turns red and the gap goes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parvis.domain.fleet.replica import EngineKind
from parvis.testing import engine_suite as suite
from parvis.testing.counting_suite import COUNTING_PROMISES
from parvis.testing.engine_servers import NO_REASONING, OpenVinoServer, keep, openvino_server
from parvis.testing.engine_table import RUN, gap_of
from parvis.testing.sameness_suite import SAMENESS_PROMISES

KIND = EngineKind.OPENVINO


@pytest.fixture(scope="module")
def cache(openvino_cache: Path) -> Path:
    return openvino_cache


@pytest.fixture(scope="module")
def chat(cache: Path) -> Iterator[OpenVinoServer]:
    with openvino_server(cache) as server:
        yield server


def cells(promises: tuple[suite.Promise, ...]) -> list[Any]:
    """One case with each promise; what is a gap is expected to fail."""
    made = []
    for promise in promises:
        gap = gap_of(KIND, promise, RUN[KIND])
        # What it would take a reasoning model to show is not even tried: these answers are long.
        marks = [pytest.mark.xfail(reason=gap, strict=True, run=gap != NO_REASONING)] if gap else []
        made.append(pytest.param(promise, id=promise.__name__, marks=marks))
    return made


@pytest.mark.parametrize("promise", cells(suite.PROMISES + COUNTING_PROMISES + SAMENESS_PROMISES))
def test_a_chat_engine(promise: suite.Promise, chat: OpenVinoServer) -> None:
    keep(promise, chat.bench(KIND))


@pytest.mark.parametrize("promise", cells(suite.LAST_PROMISES))
def test_a_chat_engine_that_dies(promise: suite.Promise, cache: Path) -> None:
    with openvino_server(cache) as server:
        keep(promise, server.bench(KIND))
