"""The tables of the catalogue, the ledger and usage.

Timestamps are integer milliseconds since the epoch; lists are JSON text.

Every table about a tenant has the tenant's id in its primary key; accounts carry it in their name.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from parvis.adapters.store.columns import Facts, Words, metadata
from parvis.adapters.store.demands import demands
from parvis.adapters.store.dialect import Pico

models = Table(
    "models",
    metadata,
    Column("id", Text, primary_key=True),
    Column("engine", Text, nullable=False),
    Column("engine_model", Text, nullable=False),
    Column("context_tokens", BigInteger, nullable=False),
    Column("capabilities", Words, nullable=False),
    Column("state", Text, nullable=False),
    Column("track", Text, nullable=False),
    Column("aliases", Words, nullable=False),
    Column("editor", Text, nullable=False),
    Column("country", Text, nullable=False),
    Column("parameters", BigInteger),
    Column("speed_tokens_per_s", BigInteger),
    Column("energy_wh_per_mtoken", BigInteger),
    Column("licence", Text, nullable=False),
    Column("languages", Words, nullable=False),
    Column("tags", Words, nullable=False),
    Column("use_cases", Words, nullable=False),
    Column("production_on", Text),
    Column("end_of_support_on", Text),
    Column("long_term_support", Boolean, nullable=False),
    Column("successor", Text),
    Column("weights_digest", Text),
    Column("provenance", Text, nullable=False),
    Column("card_url", Text, nullable=False),
    Column("dimensions", BigInteger),
    Column("template_tokens", BigInteger, nullable=False),
    Column("control_tokens", Words, nullable=False),
    Column("created_unix_s", BigInteger, nullable=False),
    Column("auto", Facts),
    Column("begins_in_reasoning", Boolean, nullable=False, server_default=false()),
)

PRICES_SAID_LATER = (
    "batch_input_microeuro_per_mtoken",
    "batch_cached_microeuro_per_mtoken",
    "batch_output_microeuro_per_mtoken",
    "batch_reasoning_microeuro_per_mtoken",
    "audio_pico_euro_per_minute",
    "rerank_pico_euro_per_document",
    "image_pico_euro_each",
)
"""NULL where a list does not say them: half, or not sold."""
prices = Table(
    "prices",
    metadata,
    Column("version", Text, primary_key=True),
    Column("model_id", Text, primary_key=True),
    Column("valid_from_unix_ms", BigInteger, nullable=False),
    Column("input_microeuro_per_mtoken", BigInteger, nullable=False),
    Column("cached_microeuro_per_mtoken", BigInteger, nullable=False),
    Column("output_microeuro_per_mtoken", BigInteger, nullable=False),
    Column("reasoning_microeuro_per_mtoken", BigInteger, nullable=False),
    *(Column(name, BigInteger) for name in PRICES_SAID_LATER),
)

accounts = Table(
    "accounts",
    metadata,
    Column("account", Text, primary_key=True),
    Column("tenant_id", Text),
    Column("incarnation", Text),
    Column("world", Boolean, nullable=False),
    Column("balance", Pico, nullable=False),
    CheckConstraint("world OR balance >= 0", name="accounts_not_overdrawn"),
    Index("accounts_of_incarnation", "incarnation"),
    Index("accounts_of_tenant", "tenant_id"),
)

transfers = Table(
    "transfers",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("reference", Text, primary_key=True),
    Column("debit", Text, ForeignKey("accounts.account"), primary_key=True),
    Column("credit", Text, ForeignKey("accounts.account"), nullable=False),
    Column("amount", Pico, nullable=False),
    Column("at_unix_ms", BigInteger, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    Column("booking", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("amount > 0", name="transfers_move_something"),
    CheckConstraint("debit <> credit", name="transfers_have_two_ends"),
    Index("transfers_of_booking", "booking"),
)

incarnations = Table(
    "incarnations",
    metadata,
    Column("incarnation", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("opened_unix_ms", BigInteger, nullable=False),
    Column("returned_unix_ms", BigInteger),
    CheckConstraint("position >= 0", name="incarnations_position"),
)

usage = Table(
    "usage",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), primary_key=True),
    Column("request_id", Text, primary_key=True),
    Column("incarnation", Text, ForeignKey("incarnations.incarnation"), nullable=False),
    Column("organisation_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("model_id", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("replica_id", Text, nullable=False),
    Column("price_version", Text, nullable=False),
    Column("held", Pico, nullable=False),
    Column("streamed", Boolean, nullable=False),
    Column("started_unix_ms", BigInteger, nullable=False),
    Column("day", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("input", BigInteger, nullable=False),
    Column("cached", BigInteger, nullable=False),
    Column("output", BigInteger, nullable=False),
    Column("reasoning", BigInteger, nullable=False),
    Column("estimated", Integer, nullable=False),
    Column("billed", Pico, nullable=False),
    Column("written_off", Pico, nullable=False),
    Column("first_byte_ms", BigInteger, nullable=False),
    Column("total_ms", BigInteger, nullable=False),
    Column("project_id", Text, nullable=False, server_default=""),
    Column("owner_id", Text, nullable=False, server_default=""),
    Column("budgets", Words, nullable=False, server_default="[]"),
    Column("quarantined", Text, nullable=False, server_default=""),
    Column("booking", BigInteger, nullable=False, server_default="0"),
    Column("audio_ms", BigInteger, nullable=False, server_default="0"),
    Column("audio_minutes", BigInteger, nullable=False, server_default="0"),
    Column("documents", BigInteger, nullable=False, server_default="0"),
    Column("images", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("request_id", name="usage_request_id"),
    CheckConstraint("input >= 0 AND cached >= 0 AND output >= 0 AND reasoning >= 0", name="usage_tokens_are_counts"),
    CheckConstraint("billed >= 0 AND written_off >= 0", name="usage_amounts"),
    CheckConstraint("estimated IN (0, 1)", name="usage_estimated"),
    *demands("usage"),
    Index("usage_of_booking", "booking"),
    Index("usage_newest", "started_unix_ms", "request_id"),
    Index("usage_newest_of_tenant", "tenant_id", "started_unix_ms", "request_id"),
)

rollups = Table(
    "rollups",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("model_id", Text, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("input", BigInteger, nullable=False),
    Column("cached", BigInteger, nullable=False),
    Column("output", BigInteger, nullable=False),
    Column("reasoning", BigInteger, nullable=False),
    Column("estimated", BigInteger, nullable=False),
    Column("billed", Pico, nullable=False),
    Column("written_off", Pico, nullable=False),
    Column("audio_minutes", BigInteger, nullable=False, server_default="0"),
    Column("documents", BigInteger, nullable=False, server_default="0"),
    Column("images", BigInteger, nullable=False, server_default="0"),
    CheckConstraint(
        "requests >= 0 AND estimated >= 0 AND input >= 0 AND cached >= 0 AND output >= 0 AND reasoning >= 0",
        name="rollups_are_counts",
    ),
    CheckConstraint("billed >= 0 AND written_off >= 0", name="rollups_amounts"),
    *demands("rollups"),
)

data_keys = Table(
    "data_keys",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), primary_key=True),
    Column("purpose", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
)
