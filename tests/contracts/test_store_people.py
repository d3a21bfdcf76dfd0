"""What is promised of people, kept by SQLite and by PostgreSQL in both realms."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from parvis.adapters.store.columns import metadata
from parvis.adapters.store.people import SqlPeople
from parvis.adapters.store.people_tables import TABLES
from parvis.adapters.store.store import SqlStore
from parvis.domain.identity.person import Realm
from parvis.flows.people_store import PeopleStore
from parvis.flows.store import Store
from parvis.testing import people_places_suite, people_recovery_suite, people_suite
from parvis.testing.people_suite import settle_people


@pytest.fixture
async def store(url: str) -> AsyncIterator[SqlStore]:
    opened = SqlStore(url)
    await opened.open()
    await settle_people(opened)
    yield opened
    await opened.close()


@pytest.mark.parametrize(
    "promise",
    [*people_suite.PROMISES, *people_places_suite.PROMISES, *people_recovery_suite.PROMISES],
    ids=lambda promise: promise.__name__,
)
async def test_promise(promise: Callable[[Store], Awaitable[None]], store: SqlStore) -> None:
    await promise(store)


def test_a_realm_of_sql_is_a_realm() -> None:
    _: type[PeopleStore] = SqlPeople


def test_no_table_of_one_realm_refers_to_the_other() -> None:
    own = {realm: {getattr(TABLES[realm], name).name for name in TABLES[realm].__slots__} for realm in Realm}
    assert not own[Realm.CUSTOMER] & own[Realm.OPERATOR]
    for realm in Realm:
        tables = [getattr(TABLES[realm], name) for name in TABLES[realm].__slots__]
        assert {key.column.table.name for table in tables for key in table.foreign_keys} <= own[realm]


async def test_what_people_show_is_nowhere_in_the_clear(tmp_path: Path) -> None:
    """Columns that hold something shown hold digests: every column of every table of people is one of these."""
    blobs = {
        column.name for table in metadata.tables.values() for column in table.columns
        if table.name.startswith(("user", "operator")) and str(column.type) == "BLOB"
    }  # fmt: skip
    assert blobs == {"digest", "totp_sealed_seed", "public_key", "value"}
    store = SqlStore(f"sqlite:///{tmp_path}/store.db")
    await store.open()

    def columns(connection: Connection) -> list[str]:
        return [row[1] for row in connection.execute(text("PRAGMA table_info(user_sessions)"))]

    assert "cookie" not in await store.database.read(columns)
    await store.close()
