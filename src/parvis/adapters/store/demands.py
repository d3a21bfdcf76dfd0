"""What rows of older tables must fulfil too: constraints that came after the tables had rows.

PostgreSQL adds a CHECK to a table. SQLite cannot, so there it is a pair of triggers. Who owns the database may drop
either; nobody breaks one by mistake.
"""

from typing import NamedTuple

from sqlalchemy import CheckConstraint, Connection


class Demand(NamedTuple):
    """A condition on every row of a table. In its words, `{column}` stands for the column's value."""

    table: str
    name: str
    words: str
    on_sqlite: str = ""
    """The same where amounts are texts (`dialect.Pico`); empty where it makes no difference."""


DEMANDS = (
    Demand(
        "usage",
        "usage_within_hold",
        "{billed} <= {held}",
        "length({billed}) < length({held}) OR (length({billed}) = length({held}) AND {billed} <= {held})",
    ),
    Demand("usage", "usage_times", "{first_byte_ms} >= 0 AND {total_ms} >= 0"),
    Demand("rollups", "rollups_estimated", "{estimated} <= {requests}"),
    Demand("rollups", "rollups_of_something", "{requests} > 0"),
)
_COLUMNS = ("billed", "held", "first_byte_ms", "total_ms", "estimated", "requests")


def demands(table: str) -> list[CheckConstraint]:
    """Those of a table, as PostgreSQL has them."""
    here = [demand for demand in DEMANDS if demand.table == table]
    return [CheckConstraint(_said(one.words, ""), name=one.name).ddl_if(dialect="postgresql") for one in here]


def demand_all(connection: Connection) -> None:
    """From now on all of them hold. Raises the database's integrity error where a row breaks one."""
    for one in DEMANDS:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(
                f"ALTER TABLE {one.table} ADD CONSTRAINT {one.name} CHECK ({_said(one.words, '')})"
            )
            continue
        broken = _said(one.on_sqlite or one.words, "NEW.")
        for verb in ("INSERT", "UPDATE"):
            connection.exec_driver_sql(
                f"CREATE TRIGGER {one.name}_{verb.lower()} BEFORE {verb} ON {one.table} WHEN NOT ({broken})"
                f" BEGIN SELECT RAISE(ABORT, 'CHECK constraint failed: {one.name}'); END"
            )


def _said(words: str, of: str) -> str:
    return words.format(**{name: f"{of}{name}" for name in _COLUMNS})
