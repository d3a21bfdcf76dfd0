"""The tables of parties and statements. Triggers forbid that a row is changed or removed."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, LargeBinary, Table, Text, UniqueConstraint

from parvis.adapters.store.columns import metadata

parties = Table(
    "parties",
    metadata,
    Column("organisation_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("facts", LargeBinary, nullable=False),
    Column("at_unix_ms", BigInteger, nullable=False),
)
"""What was said of the seller (no id) and of buyers, one row each time; the highest version holds."""

statements = Table(
    "statements",
    metadata,
    Column("number", Text, primary_key=True),
    Column("kind", Integer, nullable=False),
    Column("series", Text, nullable=False),
    Column("year", Integer, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("organisation_id", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("month", Integer, nullable=False),
    Column("about", Text, nullable=False),
    Column("last_booking", BigInteger, nullable=False),
    Column("total_cents", BigInteger, nullable=False),
    Column("content_sha256", Text, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("issued_unix_ms", BigInteger, nullable=False),
    UniqueConstraint("series", "year", "sequence", name="statements_number"),
    UniqueConstraint("organisation_id", "period", name="statements_one_a_month"),
    CheckConstraint("sequence > 0", name="statements_sequence"),
    Index("statements_of_organisation", "organisation_id", "number"),
)
"""`period` is the month of an invoice, and of a credit note its own number: of one month there is one invoice."""
