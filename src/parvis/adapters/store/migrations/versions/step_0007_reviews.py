"""Access reviews. Only tables are added."""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Text

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "reviews",
        Column("review_id", Text, primary_key=True),
        *_texts("name", "organisation_id", "tenant_id", "reviewers", "opened_by"),
        Column("opened_unix_ms", BigInteger, nullable=False),
        Column("due_unix_ms", BigInteger, nullable=False),
        Column("closed_unix_ms", BigInteger),
    )
    op.create_table(
        "review_items",
        Column("review_id", Text, ForeignKey("reviews.review_id"), primary_key=True),
        Column("item_id", Text, primary_key=True),
        *_texts("means", "object_id", "who_id", "who", "what", "organisation_id", "tenant_id"),
        Column("since_unix_ms", BigInteger, nullable=False),
        *_texts("granted_by"),
        Column("last_used_unix_ms", BigInteger),
        Column("ends_unix_ms", BigInteger),
        Column("works", Boolean, nullable=False),
        *_texts("proposal", "decision", "reason", "decided_by"),
        Column("decided_unix_ms", BigInteger),
    )
    op.create_index("review_items_by_decision", "review_items", ["review_id", "decision", "item_id"])


def _texts(*names: str) -> list[Column[str]]:
    return [Column(name, Text, nullable=False) for name in names]
