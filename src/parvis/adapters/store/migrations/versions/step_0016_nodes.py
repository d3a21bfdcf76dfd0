"""Machines that serve beside control's."""

from alembic import op
from sqlalchemy import BigInteger, Column, Text, UniqueConstraint

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add machines and the codes by which they join."""
    op.create_table(
        "nodes",
        Column("node_id", Text, primary_key=True),
        Column("name", Text, nullable=False),
        Column("serial", Text, nullable=False),
        Column("joined_unix_ms", BigInteger, nullable=False),
        Column("removed_unix_ms", BigInteger),
        UniqueConstraint("serial", name="nodes_serial"),
    )
    op.create_table(
        "join_codes",
        Column("digest", Text, primary_key=True),
        Column("ends_unix_ms", BigInteger, nullable=False),
    )
