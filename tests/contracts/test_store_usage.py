"""What is promised of usage over time, kept by SQLite and by PostgreSQL."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from parvis.adapters.store.store import SqlStore
from parvis.flows.store import Store
from parvis.testing.postgres import new_database, postgres
from parvis.testing.usage_suite import PROMISES


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture(params=("sqlite", "postgresql"))
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqlStore]:
    on_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/store.db" if on_sqlite else new_database(request.getfixturevalue("server"))
    opened = SqlStore(url)
    await opened.open()
    yield opened
    await opened.close()


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
async def test_promise(promise: Callable[[Store], Awaitable[None]], store: SqlStore) -> None:
    await promise(store)
