"""The table of signed batches. `usage.booking` says which batch a request is in."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, LargeBinary, Table

from parvis.adapters.store.columns import metadata

receipt_batches = Table(
    "receipt_batches",
    metadata,
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    Column("size", Integer, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("leaves", LargeBinary, nullable=False),
    Column("seed", LargeBinary, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("at_unix_ms", BigInteger, nullable=False),
    CheckConstraint("size > 0 AND first > 0 AND last >= first", name="receipt_batches_hold_something"),
)
"""A trigger forbids that a row is changed or removed."""
