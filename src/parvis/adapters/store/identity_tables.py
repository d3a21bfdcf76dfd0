"""The tables of organisations, tenants, projects and keys."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint

from parvis.adapters.store.columns import Instants, Words, metadata

turns = Table("turns", metadata, Column("turn", Integer, primary_key=True))
"""Always empty: what writers lock on PostgreSQL, so that they take turns."""

directory = Table(
    "directory",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", BigInteger, nullable=False),
)
"""One row, once there was a change: a number that grows with each, and that is put on what was changed."""

organisations = Table(
    "organisations",
    metadata,
    Column("organisation_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("standing", Text, nullable=False, server_default="active"),
    Column("second_factor", Boolean, nullable=False, server_default="1"),
    Column("created_unix_ms", BigInteger, nullable=False, server_default="0"),
)

tenants = Table(
    "tenants",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("organisation_id", Text, ForeignKey("organisations.organisation_id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("credit_unlimited", Boolean, nullable=False),
    Column("standing", Text, nullable=False, server_default="active"),
    Column("models_allowed", Words, nullable=False, server_default='["*"]'),
    Column("models_denied", Words, nullable=False, server_default="[]"),
    Column("addresses", Words, nullable=False, server_default="[]"),
    Column("created_unix_ms", BigInteger, nullable=False, server_default="0"),
    Column("version", BigInteger, nullable=False, server_default="0"),
    Column("tier_id", Text, nullable=False, server_default=""),
    Column("exhaustion", Text, nullable=False, server_default="clip"),
)

projects = Table(
    "projects",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), primary_key=True),
    Column("project_id", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("archived", Boolean, nullable=False),
    Column("created_unix_ms", BigInteger, nullable=False),
    UniqueConstraint("project_id", name="projects_project_id"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("digests", Words, nullable=False),
    Column("models", Words, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("created_unix_ms", BigInteger, nullable=False),
    Column("secrets_made", Instants, nullable=False, server_default="[]"),
    Column("secrets_end", Instants, nullable=False, server_default="[]"),
    Column("models_denied", Words, nullable=False, server_default="[]"),
    Column("endpoints", Words, nullable=False, server_default='["chat", "completions", "embeddings", "models"]'),
    Column("addresses", Words, nullable=False, server_default="[]"),
    Column("ends_unix_ms", BigInteger),
    Column("schedule", Instants, nullable=False, server_default="[]"),
    Column("project_id", Text, nullable=False, server_default=""),
    Column("tags", Words, nullable=False, server_default="[]"),
    Column("owner_id", Text, nullable=False, server_default=""),
    Column("version", BigInteger, nullable=False, server_default="0"),
    Column("due_unix_ms", BigInteger),
    Column("tell_unix_ms", BigInteger),
    UniqueConstraint("key_id", name="api_keys_key_id"),
    Index("api_keys_version", "version"),
    Index("api_keys_tell", "tell_unix_ms"),
    Index("api_keys_owner", "owner_id"),
)
"""`digests`, `secrets_made` and `secrets_end` run side by side, one place a secret, the newest first.

`tell_unix_ms` is when the next thing is to be told of a key: who looks for those reads no others.
"""

key_uses = Table(
    "key_uses",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("made_unix_ms", BigInteger, primary_key=True),
    Column("last_unix_ms", BigInteger, nullable=False),
)
"""When each secret of a key was last used, to within the interval at which gateways tell."""
