"""When keys are due, and when something is to be told of them; notices, and where they go.

Keys of the release before have no schedule, so nothing is ever due of them.
"""

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, Text, UniqueConstraint

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add columns and tables; nothing is removed."""
    op.add_column("api_keys", Column("due_unix_ms", BigInteger))
    op.add_column("api_keys", Column("tell_unix_ms", BigInteger))
    op.create_index("api_keys_tell", "api_keys", ["tell_unix_ms"])
    op.create_index("api_keys_owner", "api_keys", ["owner_id"])
    op.create_table(
        "notices",
        _tenant(),
        Column("notice_id", Text, primary_key=True),
        *(Column(name, Text, nullable=False) for name in ("organisation_id", "kind", "subject", "name")),
        Column("moment_unix_ms", BigInteger, nullable=False),
        Column("due_unix_ms", BigInteger),
        Column("ends_unix_ms", BigInteger),
        Column("created_unix_ms", BigInteger, nullable=False),
        UniqueConstraint("notice_id", name="notices_notice_id"),
        UniqueConstraint("kind", "subject", "moment_unix_ms", name="notices_once"),
    )
    op.create_table(
        "notice_targets",
        _tenant(),
        Column("target_id", Text, primary_key=True),
        *(Column(name, Text, nullable=False) for name in ("organisation_id", "kind", "address", "language")),
        Column("sealed", LargeBinary, nullable=False),
        Column("created_unix_ms", BigInteger, nullable=False),
        UniqueConstraint("target_id", name="notice_targets_target_id"),
    )
    op.create_table(
        "notice_dispatches",
        _tenant(),
        Column("notice_id", Text, primary_key=True),
        Column("target_id", Text, primary_key=True),
        Column("attempts", Integer, nullable=False),
        Column("next_unix_ms", BigInteger),
        Column("sent_unix_ms", BigInteger),
        Column("problem", Text, nullable=False),
    )
    op.create_index("notice_dispatches_next", "notice_dispatches", ["next_unix_ms"])


def _tenant() -> Column[str]:
    return Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), primary_key=True)
