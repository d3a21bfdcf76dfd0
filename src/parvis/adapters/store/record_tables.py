"""The tables of the record, and of requests that must happen once."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text

from parvis.adapters.store.columns import Facts, metadata

record = Table(
    "record",
    metadata,
    Column("entry_id", Text, primary_key=True),
    Column("at_unix_ms", BigInteger, nullable=False),
    Column("step", Text, nullable=False),
    Column("act_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("organisation_id", Text, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("objects", Facts, nullable=False),
    Column("details", Facts, nullable=False),
    Column("result", Text, nullable=False),
    Index("record_of_organisation", "organisation_id", "entry_id"),
    Index("record_of_actor", "actor", "entry_id"),
    Index("record_of_action", "action", "entry_id"),
)
"""Append only. The database itself refuses to change or to remove a row (`dialect.forbid_changes`)."""

record_objects = Table(
    "record_objects",
    metadata,
    Column("object_id", Text, primary_key=True),
    Column("entry_id", Text, ForeignKey("record.entry_id"), primary_key=True),
)
"""Which lines are about what, to find them by."""

repetitions = Table(
    "repetitions",
    metadata,
    Column("principal", Text, primary_key=True),
    Column("idempotency_key", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("at_unix_ms", BigInteger, nullable=False),
    Column("status", Integer),
    Column("body", LargeBinary),
    Column("made", Text, nullable=False),
    Index("repetitions_by_time", "at_unix_ms"),
)
"""Without a status, the request still runs."""
