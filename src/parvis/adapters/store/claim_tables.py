"""The table of inference requests that must be served once."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from parvis.adapters.store.columns import metadata

claims = Table(
    "claims",
    metadata,
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
    Index("claims_by_time", "at_unix_ms"),
)
"""Keys and fingerprints are keyed hashes; answers are sealed."""
