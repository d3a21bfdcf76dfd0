"""The record of privileged acts, and the answers of requests that must happen once. Only tables are added."""

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, Text

from parvis.adapters.store.dialect import forbid_changes

revision = "0003"
down_revision = "0002"

_TEXTS = ("step", "act_id", "action", "actor_kind", "actor", "address", "request_id", "organisation_id", "tenant_id")


def upgrade() -> None:
    """Create the tables; the record's can only grow."""
    op.create_table(
        "record",
        Column("entry_id", Text, primary_key=True),
        Column("at_unix_ms", BigInteger, nullable=False),
        *(Column(name, Text, nullable=False) for name in _TEXTS),
        Column("objects", Text, nullable=False),
        Column("details", Text, nullable=False),
        Column("result", Text, nullable=False),
    )
    for column in ("organisation", "actor", "action"):
        narrowed = "organisation_id" if column == "organisation" else column
        op.create_index(f"record_of_{column}", "record", [narrowed, "entry_id"])
    op.create_table(
        "record_objects",
        Column("object_id", Text, primary_key=True),
        Column("entry_id", Text, ForeignKey("record.entry_id"), primary_key=True),
    )
    for table in ("record", "record_objects"):
        forbid_changes(op.get_bind(), table)
    op.create_table(
        "repetitions",
        Column("principal", Text, primary_key=True),
        Column("idempotency_key", Text, primary_key=True),
        Column("fingerprint", Text, nullable=False),
        Column("at_unix_ms", BigInteger, nullable=False),
        Column("status", Integer),
        Column("body", LargeBinary),
        Column("made", Text, nullable=False),
    )
    op.create_index("repetitions_by_time", "repetitions", ["at_unix_ms"])
