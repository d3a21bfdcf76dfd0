"""What is promised of the record and of repeated requests, kept by SQLite and by PostgreSQL."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import Connection, text

from parvis.adapters.store.store import SqlStore
from parvis.core.errors import Conflict
from parvis.domain.audit.query import EntryQuery
from parvis.flows.store import Store
from parvis.testing.record_suite import FORGERIES, LINE, PROMISES


async def by_hand(store: SqlStore, statement: str) -> None:
    def act(connection: Connection) -> None:
        connection.execute(text(statement))

    await store.database.run(act)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
async def test_promise(promise: Callable[[Store], Awaitable[None]], store: SqlStore) -> None:
    await promise(store)


async def test_the_database_itself_refuses_to_change_the_record(store: SqlStore) -> None:
    await store.append([LINE])
    for forgery in FORGERIES:
        with pytest.raises(Conflict):
            await by_hand(store, forgery)
    assert (await store.entries(EntryQuery())).entries == (LINE,)
