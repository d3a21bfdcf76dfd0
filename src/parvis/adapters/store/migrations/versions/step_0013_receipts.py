"""Signed batches of receipts. Only a table is added; it can only grow."""

from alembic import op
from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, LargeBinary

from parvis.adapters.store.dialect import forbid_changes

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Create the table. What was booked by a release without numbers of bookings gets no receipt."""
    op.create_table(
        "receipt_batches",
        Column("first", BigInteger, primary_key=True, autoincrement=False),
        Column("last", BigInteger, nullable=False),
        Column("size", Integer, nullable=False),
        *(Column(name, LargeBinary, nullable=False) for name in ("root", "leaves", "seed", "document")),
        Column("at_unix_ms", BigInteger, nullable=False),
        CheckConstraint("size > 0 AND first > 0 AND last >= first", name="receipt_batches_hold_something"),
    )
    forbid_changes(op.get_bind(), "receipt_batches")
