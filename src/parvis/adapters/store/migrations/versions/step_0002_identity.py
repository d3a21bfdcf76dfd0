"""Standing, scopes and rotation of keys; projects; the number by which gateways learn of changes.

The release before goes on reading and writing its columns: what is new has a default for rows that it writes.
"""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Integer, Text, UniqueConstraint

revision = "0002"
down_revision = "0001"

_ENDPOINTS = '["chat", "completions", "embeddings", "models"]'


def upgrade() -> None:
    """Add columns and tables; nothing is removed."""
    op.create_table("directory", Column("id", Integer, primary_key=True), Column("version", BigInteger, nullable=False))
    _extend("organisations", _text("standing", "active"), _truth("second_factor"), _instant("created_unix_ms"))
    _extend(
        "tenants",
        _text("standing", "active"),
        _text("models_allowed", '["*"]'),
        _text("models_denied", "[]"),
        _text("addresses", "[]"),
        _instant("created_unix_ms"),
        _instant("version"),
    )
    _extend(
        "api_keys",
        _text("secrets_made", "[]"),
        _text("secrets_end", "[]"),
        _text("models_denied", "[]"),
        _text("endpoints", _ENDPOINTS),
        _text("addresses", "[]"),
        Column("ends_unix_ms", BigInteger),
        _text("schedule", "[]"),
        _text("project_id", ""),
        _text("tags", "[]"),
        _text("owner_id", ""),
        _instant("version"),
    )
    op.create_index("api_keys_version", "api_keys", ["version"])
    op.create_table(
        "projects",
        Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), primary_key=True),
        Column("project_id", Text, primary_key=True),
        Column("organisation_id", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("archived", Boolean, nullable=False),
        Column("created_unix_ms", BigInteger, nullable=False),
        UniqueConstraint("project_id", name="projects_project_id"),
    )
    op.create_table(
        "key_uses",
        Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), primary_key=True),
        Column("key_id", Text, primary_key=True),
        Column("made_unix_ms", BigInteger, primary_key=True),
        Column("last_unix_ms", BigInteger, nullable=False),
    )


def _extend(table: str, *columns: Column[object]) -> None:
    for column in columns:
        op.add_column(table, column)


def _text(name: str, default: str) -> Column[object]:
    return Column(name, Text, nullable=False, server_default=default)


def _truth(name: str) -> Column[object]:
    return Column(name, Boolean, nullable=False, server_default="1")


def _instant(name: str) -> Column[object]:
    return Column(name, BigInteger, nullable=False, server_default="0")
