"""Every difference between SQLite and PostgreSQL, in six entries; `bulk` and `demands` have what is of rows in masses.

Money is exact and unbounded on both. SQLite has no exact number beyond 64 bits (9.2 million euro in
pico-euro), and what exceeds it silently becomes a float; so there an amount is its canonical decimal text.
Compared as text, "-…" sorts before "0" and every digit from "1" on after it, so that `amount > 0` and
`balance >= 0` are true of the texts exactly when they are true of the numbers. Nothing else may compare,
order or add amounts in SQL: `ExactSum` adds them, and balances are read, changed and written inside one
transaction.
"""

import os
import sqlite3
from enum import Enum
from pathlib import Path
from typing import Any

from sqlalchemy import (
    NUMERIC,
    URL,
    Connection,
    Dialect,
    Engine,
    QueuePool,
    Text,
    TypeDecorator,
    create_engine,
    event,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeEngine

BUSY_S_MAX = 30
CONNECT_S_MAX = 5
_MIGRATION_LOCK = 7_288_477_135  # any number that no other program takes in the same database

# ------------------------------------------------------------------------------------------------ 1: amounts


class Pico(TypeDecorator[int]):
    """Whole pico-euro of up to 38 digits: NUMERIC(38, 0) on PostgreSQL, decimal text on SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(NUMERIC(38, 0) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: int | None, dialect: Dialect) -> Any:
        return str(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, _dialect: Dialect) -> int | None:
        return None if value is None else int(value)


# ---------------------------------------------------------------------------------------- 2: sums of amounts


class ExactSum(GenericFunction[int]):
    """The sum of amounts, of whatever size; NULL over no rows."""

    name = "exact_sum"
    type = Pico()
    inherit_cache = True


@compiles(ExactSum, "postgresql")
def _sum_numeric(element: ExactSum, compiler: SQLCompiler, **options: Any) -> str:
    return f"sum({compiler.process(element.clauses, **options)})"


class _TextSum:
    """The aggregate behind `exact_sum` on SQLite."""

    def __init__(self) -> None:
        self._total: int | None = None

    def step(self, amount: str | None) -> None:
        if amount is not None:
            self._total = int(amount) + (self._total or 0)

    def finalize(self) -> str | None:
        return None if self._total is None else str(self._total)


class Negated(GenericFunction[int]):
    """An amount to be taken away in an `ExactSum`."""

    name = "negated"
    type = Pico()
    inherit_cache = True


@compiles(Negated, "postgresql")
def _negate_numeric(element: Negated, compiler: SQLCompiler, **options: Any) -> str:
    return f"(-{compiler.process(element.clauses, **options)})"


@compiles(Negated, "sqlite")
def _negate_text(element: Negated, compiler: SQLCompiler, **options: Any) -> str:
    return f"('-' || {compiler.process(element.clauses, **options)})"


# ------------------------------------------------------------------------------------------------- 3: engines


class Use(Enum):
    """What connections are for."""

    WRITE = "write"
    READ = "read"
    MIGRATE = "migrate"


_ISOLATION = {Use.WRITE: "SERIALIZABLE", Use.READ: "REPEATABLE READ", Use.MIGRATE: "READ COMMITTED"}


def engine_for(url: URL, use: Use, connections: int) -> Engine:
    """Connections whose transactions see one snapshot, and write one at a time, whichever process they are of.

    On SQLite that is BEGIN IMMEDIATE. On PostgreSQL a writer first locks a table in which nothing ever is: a
    queue, not a collision. LOCK TABLE takes no snapshot, so a writer sees all that was committed while it
    waited. Without turns, serializable writers that change the same balances fail one another (measured: 300
    grants at once through 16 connections, some refused after 30 attempts each). A migration on PostgreSQL
    must see what was committed while it waited for its lock, hence READ COMMITTED.
    """
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url, use, connections)
    engine = create_engine(
        url,
        isolation_level=_ISOLATION[use],
        pool_size=connections,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,
        execution_options={"postgresql_readonly": True} if use is Use.READ else {},
        connect_args={"connect_timeout": CONNECT_S_MAX, "options": f"-c lock_timeout={BUSY_S_MAX}s"},
    )
    if use is Use.WRITE:
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("LOCK TABLE turns"))
    return engine


def _sqlite_engine(url: URL, use: Use, connections: int) -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        hide_parameters=True,
        connect_args={"timeout": BUSY_S_MAX, "check_same_thread": False},
    )
    begin = "BEGIN" if use is Use.READ else "BEGIN IMMEDIATE"

    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself: savepoints and BEGIN IMMEDIATE work
        connection.create_aggregate("exact_sum", 1, _TextSum)  # type: ignore[arg-type]  # stub wants int results
        for pragma in _pragmas(use):
            connection.execute(f"PRAGMA {pragma}").close()

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    if use is Use.MIGRATE:
        _make_private(Path(url.database or ""))
    return engine


def _pragmas(use: Use) -> tuple[str, ...]:
    """`secure_delete`: a destroyed key is overwritten in the file, not merely unlinked."""
    if use is Use.READ:
        return ("query_only=ON",)
    return ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")


def _make_private(path: Path) -> None:
    """A new database file is readable by its owner only; SQLite gives its side files the same mode."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDONLY, 0o600))
    except OSError:
        return  # connecting fails in a moment, and says why


# ---------------------------------------------------------------------------------------------- 4: migrations


def claim_migration(connection: Connection) -> None:
    """Wait until no other process migrates, until the transaction ends. On SQLite BEGIN IMMEDIATE did."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _MIGRATION_LOCK})


def forbid_changes(connection: Connection, table: str) -> None:
    """From now on rows of this table can be added, and neither changed nor removed: not by our code, nor by another.

    What tries gets an integrity error. Who owns the database can still drop the triggers, or empty the table on
    PostgreSQL (TRUNCATE).
    """
    refusal = f"rows of {table} are never changed"
    if connection.dialect.name == "postgresql":
        raised = f"BEGIN RAISE EXCEPTION '{refusal}' USING ERRCODE = 'integrity_constraint_violation'; END"
        connection.exec_driver_sql(
            f"CREATE FUNCTION {table}_grows() RETURNS trigger LANGUAGE plpgsql AS $$ {raised} $$"
        )
        connection.exec_driver_sql(
            f"CREATE TRIGGER {table}_grows BEFORE UPDATE OR DELETE ON {table} EXECUTE FUNCTION {table}_grows()"
        )
        return
    for verb in ("UPDATE", "DELETE"):
        connection.exec_driver_sql(
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table}"
            f" BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
        )


# -------------------------------------------------------------------------------------------------- 5: errors


class Verdict(Enum):
    """What an error of the driver means to us."""

    AGAIN = "again"
    """Another transaction was in the way; the same function may succeed now."""
    AWAY = "away"
    """The database cannot be reached, read or written."""
    CLASH = "clash"
    """A constraint refused it."""
    BUG = "bug"


_SQLITE_AWAY = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)
_POSTGRES_AGAIN = ("40001", "40P01")
_POSTGRES_AWAY = ("08", "28", "3D", "53", "55P03", "57", "58", "25006", "XX")
"""Connection, credentials, no such database, resources (disk full), lock timeout, shutdown, system, read-only,
damaged. From appendix A of PostgreSQL's manual, "Error Codes"; two characters are a class."""


def verdict(error: DBAPIError) -> Verdict:
    """Judge by codes, never by texts. Without any code, a connection broke or was never made."""
    if error.connection_invalidated:
        return Verdict.AWAY
    sqlite_code = getattr(error.orig, "sqlite_errorcode", None)
    if sqlite_code is not None:
        return _of_sqlite(sqlite_code & 0xFF)
    if isinstance(error.orig, sqlite3.Error):
        return Verdict.BUG
    return _of_postgres(getattr(error.orig, "sqlstate", None))


def _of_sqlite(code: int) -> Verdict:
    if code in _SQLITE_AWAY:
        return Verdict.AWAY
    return Verdict.CLASH if code == sqlite3.SQLITE_CONSTRAINT else Verdict.BUG


def _of_postgres(state: str | None) -> Verdict:
    if state is None or state.startswith(_POSTGRES_AWAY):
        return Verdict.AWAY
    if state in _POSTGRES_AGAIN:
        return Verdict.AGAIN
    return Verdict.CLASH if state.startswith("23") else Verdict.BUG


# --------------------------------------------------------------------------------------------------- 6: the clock


def clock_us(connection: Connection, own_unix_ms: int) -> int:
    """Now, for what all gateways share: by PostgreSQL's clock, whichever machine asks; on SQLite by our own, the one.

    Not when the transaction began: what waited for its turn happens now.
    """
    if connection.dialect.name != "postgresql":
        return own_unix_ms * 1000
    asked = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
    return int(connection.execute(asked).scalar_one())
