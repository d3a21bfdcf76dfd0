"""Parties and statements. Only tables are added; they can only grow."""

from alembic import op
from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, LargeBinary, Text, UniqueConstraint

from parvis.adapters.store.dialect import forbid_changes

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "parties",
        Column("organisation_id", Text, primary_key=True),
        Column("version", Integer, primary_key=True, autoincrement=False),
        Column("facts", LargeBinary, nullable=False),
        Column("at_unix_ms", BigInteger, nullable=False),
    )
    op.create_table(
        "statements",
        Column("number", Text, primary_key=True),
        Column("kind", Integer, nullable=False),
        Column("series", Text, nullable=False),
        *(Column(name, Integer, nullable=False) for name in ("year", "sequence")),
        *(Column(name, Text, nullable=False) for name in ("organisation_id", "period")),
        Column("month", Integer, nullable=False),
        Column("about", Text, nullable=False),
        *(Column(name, BigInteger, nullable=False) for name in ("last_booking", "total_cents")),
        Column("content_sha256", Text, nullable=False),
        Column("document", LargeBinary, nullable=False),
        Column("issued_unix_ms", BigInteger, nullable=False),
        UniqueConstraint("series", "year", "sequence", name="statements_number"),
        UniqueConstraint("organisation_id", "period", name="statements_one_a_month"),
        CheckConstraint("sequence > 0", name="statements_sequence"),
    )
    op.create_index("statements_of_organisation", "statements", ["organisation_id", "number"])
    for table in ("parties", "statements"):
        forbid_changes(op.get_bind(), table)
