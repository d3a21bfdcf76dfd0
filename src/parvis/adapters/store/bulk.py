"""Many rows at once, without a statement for each and without SQLAlchemy in between.

Values are as both databases take them from a text: amounts as decimal texts, lists as JSON.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError

from parvis.adapters.store.dialect import Pico

Rows = Sequence[tuple[Any, ...]]


def append(connection: Connection, table: Table, names: Sequence[str], rows: Rows) -> None:
    """Insert these rows. Raises DBAPIError as a statement does."""
    if not rows:
        return
    columns = ", ".join(names)
    if connection.dialect.name == "postgresql":
        _copy(connection, f"COPY {table.name} ({columns}) FROM STDIN", rows)
        return
    places = ", ".join("?" * len(names))
    said = f"INSERT INTO {table.name} ({columns}) VALUES ({places})"  # noqa: S608 - names of our own tables
    connection.exec_driver_sql(said, list(rows))


def replace(connection: Connection, table: Table, key: Sequence[str], names: Sequence[str], rows: Rows) -> None:
    """Insert rows, or give those that have their key these values. Each row: the key's values, then the others."""
    if not rows:
        return
    columns = ", ".join((*key, *names))
    changed = ", ".join(f"{name} = excluded.{name}" for name in names)
    places, values = _values(connection, table, (*key, *names), rows)
    said = f"INSERT INTO {table.name} ({columns}) {places} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changed}"
    connection.exec_driver_sql(said, values)


def _values(connection: Connection, table: Table, names: Iterable[str], rows: Rows) -> tuple[str, Any]:
    """What stands for the rows in a statement, and its parameters: on PostgreSQL one array for each column."""
    if connection.dialect.name == "postgresql":
        kinds = (_kind(connection, table, name) for name in names)
        # a WHERE keeps `ON CONFLICT` from being read as a join's condition on either database
        arrays = ", ".join(f"%s::{kind}[]" for kind in kinds)
        columns = tuple(list(column) for column in zip(*rows, strict=True))
        return f"SELECT * FROM unnest({arrays}) WHERE true", columns  # noqa: S608 - names of types
    return f"VALUES ({', '.join('?' * len(rows[0]))})", list(rows)


def _kind(connection: Connection, table: Table, name: str) -> str:
    column = table.c[name].type
    return "numeric" if isinstance(column, Pico) else column.compile(connection.dialect).lower()


def _copy(connection: Connection, statement: str, rows: Rows) -> None:
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise TypeError(type(driver))
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        raise DBAPIError.instance(statement, None, error, psycopg.Error, hide_parameters=True) from error
