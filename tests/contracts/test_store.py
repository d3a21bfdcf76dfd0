"""The store's promises, kept by SQLite and by PostgreSQL; then what only a store on SQL can be asked."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, inspect, text

from parvis.adapters.store.address import read_address
from parvis.adapters.store.columns import metadata
from parvis.adapters.store.ingest import ingest
from parvis.adapters.store.migrate import migrate
from parvis.adapters.store.store import SqlStore
from parvis.core.errors import Conflict, Failure, Misconfigured, Unavailable
from parvis.core.money import ZERO, Money
from parvis.domain.billing.transfer import REVENUE, tenant_account
from parvis.flows.store import Store
from parvis.testing.postgres import new_database, postgres
from parvis.testing.store_suite import (
    COST,
    DAMAGE,
    PROMISES,
    books_to_damage,
    lent,
    settle_in,
    usage_record,
)

KINDS = ("sqlite", "postgresql")


@pytest.fixture(params=KINDS)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without any table, or the place for one."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return new_database(request.getfixturevalue("server"))


async def by_hand(store: SqlStore, statement: str) -> None:
    def act(connection: Connection) -> None:
        connection.execute(text(statement))

    await store.database.run(act)


async def behind_its_back(store: SqlStore, statement: str) -> None:
    """As who owns the database can: rows that only grow are changed all the same."""

    def act(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        else:
            for table in ("usage", "transfers"):
                for verb in ("update", "delete"):
                    connection.execute(text(f"DROP TRIGGER {table}_no_{verb}"))
        connection.execute(text(statement))

    await store.database.run(act)


def test_sql_store_is_a_store() -> None:
    _: type[Store] = SqlStore


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
async def test_promise(promise: Callable[[Store], Awaitable[None]], store: SqlStore) -> None:
    await promise(store)


# ------------------------------------------------------------------------------------------- the self-check


@pytest.mark.parametrize("statement", DAMAGE)
async def test_an_altered_row_is_named(statement: str, store: SqlStore) -> None:
    await books_to_damage(store)
    await behind_its_back(store, statement)
    assert any(DAMAGE[statement] in difference for difference in await store.check())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts SET balance = '-1' WHERE account = 'revenue'",
        "UPDATE accounts SET balance = '-99999999999999999999' WHERE account = 'revenue'",
        "UPDATE transfers SET amount = '0'",
        "UPDATE transfers SET amount = '-5'",
        "UPDATE transfers SET credit = debit",
        "UPDATE usage SET billed = '-1'",
        "UPDATE usage SET reasoning = -1",
        "UPDATE usage SET held = '9'",
        "UPDATE usage SET total_ms = -1",
        "UPDATE rollups SET output = -1",
        "UPDATE rollups SET estimated = requests + 1",
        "UPDATE rollups SET requests = 0",
        "UPDATE budgets SET leased = '-1'",
        "UPDATE orders SET unspent = '-1'",
    ],
)
async def test_rows_that_cannot_be_are_refused(statement: str, store: SqlStore) -> None:
    """By what is demanded of them, whatever keeps them from being changed at all."""
    await books_to_damage(store)
    with pytest.raises(Conflict):
        await behind_its_back(store, statement)
    assert await store.check() == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE usage SET tenant_id = 'nobody'",
        "UPDATE usage SET first_byte_ms = 1",
        "UPDATE transfers SET note = 'other'",
        "DELETE FROM transfers",
        "DELETE FROM usage",
    ],
)
async def test_usage_and_transfers_only_grow(statement: str, store: SqlStore) -> None:
    await books_to_damage(store)
    with pytest.raises(Conflict):
        await by_hand(store, statement)
    assert await store.check() == []


# ----------------------------------------------------------------------------------------------- atomicity


async def test_what_breaks_midway_leaves_nothing(store: SqlStore) -> None:
    """Others of the same group are not harmed."""
    await settle_in(store)
    await lent(store, "unlimited", "run", COST * 9, "g1")

    def breaks(connection: Connection) -> None:
        ingest(connection, "run", [usage_record(1, "unlimited")], 0)
        raise ZeroDivisionError

    beside = [store.ingest("run", n, [usage_record(n, "unlimited")]) for n in range(2, 6)]
    broken, *booked = await asyncio.gather(store.database.run(breaks), *beside, return_exceptions=True)
    assert isinstance(broken, ZeroDivisionError)
    assert booked == [1, 1, 1, 1]
    assert await store.request("req_000001") is None
    assert await store.balance(REVENUE) == COST * 4
    assert await store.check() == []


async def test_two_stores_on_one_database_never_overrun(store: SqlStore, url: str) -> None:
    await settle_in(store)
    await store.credit("limited", Money(100), "order")
    other = SqlStore(url)
    await other.open()
    asked = [lent((store, other)[n % 2], "limited", "run", Money(3), f"g{n}") for n in range(60)]
    granted = await asyncio.gather(*asked)
    await other.close()
    assert sum(granted, ZERO) == Money(99)
    assert await store.balance(tenant_account("limited")) == Money(1)
    assert await store.check() == []


INGEST_FOR_EVER = """
import asyncio, itertools, sys
from parvis.adapters.store.store import SqlStore
from parvis.testing.store_suite import usage_record

async def main(store):
    await store.open()
    for number in itertools.count(1):
        await store.ingest("run", number, [usage_record(number, "unlimited")])
        print(number, flush=True)

asyncio.run(main(SqlStore(sys.stdin.readline().strip())))
"""


async def test_a_killed_process_loses_nothing_that_it_was_told(url: str) -> None:
    store = SqlStore(url)
    await store.open()
    await settle_in(store)
    await lent(store, "unlimited", "run", COST * 10**6, "g1")
    with subprocess.Popen(  # noqa: ASYNC220 - nothing else runs on this loop
        [sys.executable, "-c", INGEST_FOR_EVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin
        assert child.stdout
        child.stdin.write(f"{url}\n")
        child.stdin.flush()
        for line in child.stdout:
            if int(line) == 30:
                break
        os.kill(child.pid, signal.SIGKILL)
        told = [30, *(int(line) for line in child.stdout if line.endswith("\n"))][-1]
    assert await store.check() == []
    assert told <= await store.position("run") <= told + 1
    assert await store.balance(REVENUE) == COST * await store.position("run")
    await store.close()


async def test_a_caller_who_leaves_harms_nobody(store: SqlStore) -> None:
    """What it asked for happens whole or not at all."""
    await settle_in(store)
    asked = [asyncio.create_task(store.credit("limited", Money(1), f"order-{n}")) for n in range(40)]
    await asyncio.sleep(0.002)
    for task in asked[::2]:
        task.cancel()
    ended = await asyncio.gather(*asked, return_exceptions=True)
    assert not any(isinstance(error, Exception) for error in ended)
    assert 20 <= (await store.balance(tenant_account("limited"))).pico_euro <= 40
    assert await store.check() == []


async def test_closing_finishes_what_was_asked(url: str) -> None:
    store = SqlStore(url)
    await store.open()
    await settle_in(store)
    asked = [asyncio.create_task(store.credit("limited", Money(1), f"order-{n}")) for n in range(30)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*asked)
    with pytest.raises(Unavailable):
        await store.balance(REVENUE)
    await store.open()
    assert await store.balance(tenant_account("limited")) == Money(30)
    await store.close()


# ---------------------------------------------------------------------------------------------- migrations


def shape(url: str, make: Callable[[Connection], None] | None = None) -> dict[str, Any]:
    """All that the database says of its tables, less the migration's own."""
    engine = create_engine(read_address(url))
    try:
        with engine.begin() as connection:
            if make is not None:
                make(connection)
            seen = inspect(connection)
            return {
                name: (
                    [(c["name"], str(c["type"]), c["nullable"]) for c in seen.get_columns(name)],
                    seen.get_pk_constraint(name)["constrained_columns"],
                    sorted(map(str, seen.get_foreign_keys(name))),
                    sorted(map(str, seen.get_unique_constraints(name))),
                    sorted(map(str, seen.get_check_constraints(name))),
                    sorted(map(str, seen.get_indexes(name))),
                )
                for name in seen.get_table_names()
                if name != "alembic_version"
            }
    finally:
        engine.dispose()


def beside(url: str, server: str) -> str:
    """Another empty database of the same kind."""
    return f"{url}2" if url.startswith("sqlite") else new_database(server)


def test_the_steps_lead_to_the_tables(empty_url: str, server: str) -> None:
    migrate(empty_url)
    migrate(empty_url)
    made = shape(empty_url)
    assert made.keys() == metadata.tables.keys()
    assert made == shape(beside(empty_url, server), metadata.create_all)


def test_two_starts_at_once_are_safe(empty_url: str) -> None:
    program = "import sys; from parvis.adapters.store.migrate import migrate; migrate(sys.stdin.readline().strip())"
    starts = [
        subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for start in starts:
        assert start.stdin
        start.stdin.write(f"{empty_url}\n")
        start.stdin.flush()
    errors = [start.communicate()[1] for start in starts]
    assert [start.returncode for start in starts] == [0, 0, 0], errors
    assert shape(empty_url).keys() == metadata.tables.keys()


async def test_a_database_newer_than_the_code_is_refused(empty_url: str) -> None:
    store = SqlStore(empty_url)
    await store.open()
    await by_hand(store, "UPDATE alembic_version SET version_num = '9999'")
    await store.close()
    with pytest.raises(Misconfigured, match="9999"):
        await store.open()


@pytest.mark.parametrize("address", ["", "store.db", "mysql://host/db", "sqlite://", "sqlite:///:memory:"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(Misconfigured):
        SqlStore(address)


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    migrate(f"sqlite:///{tmp_path}/store.db")
    assert (tmp_path / "store.db").stat().st_mode & 0o777 == 0o600


# ----------------------------------------------------------------------------------------- a store that is away


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def fails(asked: Awaitable[object]) -> Failure:
    with pytest.raises(Unavailable) as caught:
        await asked
    return caught.value


async def test_a_database_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    await fails(SqlStore(f"sqlite:///{tmp_path}/no/folder/store.db").open())
    failure = await fails(SqlStore(f"postgresql://parvis:hush@127.0.0.1:{free_port()}/store").open())
    assert "hush" not in str(failure)


async def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"This is no database. " * 100)
    await fails(SqlStore(f"sqlite:///{tmp_path}/store.db").open())


def all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_a_destroyed_key_is_not_left_in_the_file(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path}/store.db")
    wrapped = os.urandom(60)
    for destroyed in (False, True):
        await store.open()
        if destroyed:
            await store.destroy_data_keys("limited")
        else:
            await settle_in(store)
            await store.put_data_key("limited", "answers", 1, wrapped)
        await store.close()
        assert (wrapped in all_bytes(tmp_path)) is not destroyed


@pytest.fixture
async def file_store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    opened = SqlStore(f"sqlite:///{tmp_path}/store.db")
    await opened.open()
    await settle_in(opened)
    yield opened
    await opened.close()


async def ingest_until_unavailable(store: SqlStore) -> int:
    """How many requests were booked, one at a time."""
    for booked in range(10**4):
        try:
            await store.ingest("run", booked + 1, [usage_record(booked, "unlimited")])
        except Unavailable:
            return booked
    pytest.fail("there was always room")


async def test_a_full_disk_is_unavailable_and_harms_nothing(file_store: SqlStore) -> None:
    """SQLite is told that the disk ends where the file ends; then that there is room again."""
    await lent(file_store, "unlimited", "run", COST * 10**6, "g1")
    await by_hand(file_store, "PRAGMA max_page_count = 1")
    booked = await ingest_until_unavailable(file_store)
    beside = [file_store.ingest("run", 10**5, [usage_record(n, "unlimited") for n in range(3000)]) for _ in range(3)]
    assert {type(error) for error in await asyncio.gather(*beside, return_exceptions=True)} == {Unavailable}
    assert await file_store.position("run") == booked
    assert await file_store.check() == []
    await by_hand(file_store, "PRAGMA max_page_count = 1000000")
    assert await file_store.ingest("run", booked + 1, [usage_record(booked, "unlimited")]) == 1
    assert await file_store.check() == []


async def test_a_file_that_cannot_be_written_is_unavailable(file_store: SqlStore) -> None:
    await by_hand(file_store, "PRAGMA query_only = ON")
    await fails(file_store.credit("limited", Money(1), "order"))
    assert await file_store.balance(tenant_account("limited")) == ZERO


def make_read_only(server: str, name: str | None, state: str) -> None:
    """Say so for every new connection to this database, then end those that exist."""
    engine = create_engine(read_address(server), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = {state}"))
        ended = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
        connection.execute(ended, {"name": name})
    engine.dispose()


async def test_a_read_only_server_is_unavailable_until_it_is_not(server: str) -> None:
    url = new_database(server)
    store = SqlStore(url)
    await store.open()
    await settle_in(store)
    for state in ("on", "off"):
        make_read_only(server, read_address(url).database, state)
        if state == "on":
            await fails(store.credit("limited", Money(1), "order"))
    await store.credit("limited", Money(1), "order")
    assert await store.balance(tenant_account("limited")) == Money(1)
    await store.close()


async def test_a_server_that_stops_is_unavailable() -> None:
    with postgres() as url:
        store = SqlStore(url)
        await store.open()
        await settle_in(store)
    await fails(store.credit("limited", Money(1), "order"))
    await fails(store.balance(REVENUE))
    await store.close()
