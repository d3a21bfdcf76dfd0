"""Inference requests that must be served once, and their sealed answers. Only a table is added."""

from alembic import op
from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, LargeBinary, Text, UniqueConstraint

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "claims",
        Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), primary_key=True),
        Column("idempotency_key", Text, primary_key=True),
        Column("fingerprint", Text, nullable=False),
        Column("ask", Text, nullable=False),
        Column("incarnation", Text, nullable=False),
        Column("at_unix_ms", BigInteger, nullable=False),
        Column("state", Text, nullable=False),
        Column("answer", LargeBinary),
        UniqueConstraint("ask", name="claims_ask"),
        CheckConstraint("(state = 'kept') = (answer IS NOT NULL)", name="claims_answer"),
    )
    op.create_index("claims_by_time", "claims", ["at_unix_ms"])
