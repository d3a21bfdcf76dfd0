"""What is promised of notices, kept by SQLite and by PostgreSQL."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from parvis.adapters.store.store import SqlStore
from parvis.flows.store import Store
from parvis.testing.notice_suite import PROMISES


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
async def test_promise(promise: Callable[[Store], Awaitable[None]], store: SqlStore) -> None:
    await promise(store)


async def test_looking_for_what_is_to_be_told_reads_no_other_keys(tmp_path: Path) -> None:
    """By the plan of the database, so that no clock judges it."""
    store = SqlStore(f"sqlite:///{tmp_path}/store.db")
    await store.open()

    def plan(connection: Connection) -> str:
        asked = "EXPLAIN QUERY PLAN SELECT * FROM api_keys WHERE tell_unix_ms <= 5 ORDER BY tell_unix_ms LIMIT 9"
        return " ".join(str(row) for row in connection.execute(text(asked)))

    assert "USING INDEX api_keys_tell" in await store.database.read(plan)
    await store.close()
