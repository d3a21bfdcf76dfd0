"""A store of each kind with nothing in it, for each test.

Making one takes a third of a second. So there is one PostgreSQL database, emptied each time, and one SQLite file with
all tables, copied each time (`empty_store`).
"""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from parvis.adapters.store.address import read_address
from parvis.adapters.store.columns import metadata
from parvis.adapters.store.migrate import migrate
from parvis.adapters.store.store import SqlStore
from parvis.testing.empty_store import empty_store
from parvis.testing.postgres import new_database, postgres


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture(scope="session")
def migrated(server: str) -> str:
    url = new_database(server)
    migrate(url)
    return url


@pytest.fixture(params=("sqlite", "postgresql"))
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return empty_store(tmp_path / "store.db")
    made: str = request.getfixturevalue("migrated")
    engine = create_engine(read_address(made))
    with engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(metadata.tables)} CASCADE"))
    engine.dispose()
    return made


@pytest.fixture
async def store(url: str) -> AsyncIterator[SqlStore]:
    opened = SqlStore(url)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def openvino_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all processes of this run: whoever comes first converts the weights."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return shared / "openvino-weights"
