"""The tables of notices, of where they go, and of how far they have come."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text, UniqueConstraint

from parvis.adapters.store.columns import metadata
from parvis.adapters.store.dialect import Pico

notices = Table(
    "notices",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), primary_key=True),
    Column("notice_id", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("moment_unix_ms", BigInteger, nullable=False),
    Column("due_unix_ms", BigInteger),
    Column("ends_unix_ms", BigInteger),
    Column("created_unix_ms", BigInteger, nullable=False),
    Column("amount_pico_euro", Pico),
    Column("limit_pico_euro", Pico),
    UniqueConstraint("notice_id", name="notices_notice_id"),
    UniqueConstraint("kind", "subject", "moment_unix_ms", name="notices_once"),
)

notice_targets = Table(
    "notice_targets",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), primary_key=True),
    Column("target_id", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_unix_ms", BigInteger, nullable=False),
    UniqueConstraint("target_id", name="notice_targets_target_id"),
)
"""`sealed` is what a webhook is signed with, under the data key of its tenant."""

notice_dispatches = Table(
    "notice_dispatches",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), primary_key=True),
    Column("notice_id", Text, primary_key=True),
    Column("target_id", Text, primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("next_unix_ms", BigInteger),
    Column("sent_unix_ms", BigInteger),
    Column("problem", Text, nullable=False),
    Index("notice_dispatches_next", "next_unix_ms"),
)
"""`next_unix_ms` is empty for what arrived or was given up: what waits is found however much has gone."""
