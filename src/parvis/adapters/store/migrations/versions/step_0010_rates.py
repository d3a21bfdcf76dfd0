"""Rates and places. Only tables are added."""

from alembic import op
from sqlalchemy import BigInteger, Column, Text

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "rate_buckets",
        Column("bucket", Text, primary_key=True),
        *_numbers("seen_us", "debt_ns", "interval_ns"),
    )
    op.create_table(
        "rate_places",
        Column("bucket", Text, primary_key=True),
        Column("incarnation", Text, primary_key=True),
        *_numbers("places"),
    )
    op.create_table(
        "rate_trades",
        Column("incarnation", Text, primary_key=True),
        *_numbers("number"),
        Column("answer", Text, nullable=False),
    )


def _numbers(*names: str) -> list[Column[int]]:
    return [Column(name, BigInteger, nullable=False) for name in names]
