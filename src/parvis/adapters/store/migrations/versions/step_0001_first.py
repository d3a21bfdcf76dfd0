"""Everything that release 0.1 stores."""

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
)

from parvis.adapters.store.dialect import Pico

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create all tables."""
    _create_identity()
    _create_catalogue()
    _create_ledger()
    _create_usage()


def _create_identity() -> None:
    op.create_table("turns", Column("turn", Integer, primary_key=True))
    op.create_table(
        "organisations",
        Column("organisation_id", Text, primary_key=True),
        Column("name", Text, nullable=False),
    )
    op.create_table(
        "tenants",
        Column("tenant_id", Text, primary_key=True),
        Column("organisation_id", Text, ForeignKey("organisations.organisation_id"), nullable=False),
        Column("name", Text, nullable=False),
        Column("credit_unlimited", Boolean, nullable=False),
    )
    op.create_table(
        "api_keys",
        Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), primary_key=True),
        Column("key_id", Text, primary_key=True),
        Column("organisation_id", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("digests", Text, nullable=False),
        Column("models", Text, nullable=False),
        Column("active", Boolean, nullable=False),
        Column("created_unix_ms", BigInteger, nullable=False),
        UniqueConstraint("key_id", name="api_keys_key_id"),
    )
    op.create_table(
        "data_keys",
        Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), primary_key=True),
        Column("purpose", Text, primary_key=True),
        Column("version", Integer, primary_key=True),
        Column("wrapped", LargeBinary, nullable=False),
    )


def _create_catalogue() -> None:
    op.create_table(
        "models",
        Column("id", Text, primary_key=True),
        Column("engine", Text, nullable=False),
        Column("engine_model", Text, nullable=False),
        Column("context_tokens", BigInteger, nullable=False),
        Column("capabilities", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("track", Text, nullable=False),
        Column("aliases", Text, nullable=False),
        Column("editor", Text, nullable=False),
        Column("country", Text, nullable=False),
        Column("parameters", BigInteger),
        Column("speed_tokens_per_s", BigInteger),
        Column("energy_wh_per_mtoken", BigInteger),
        Column("licence", Text, nullable=False),
        Column("languages", Text, nullable=False),
        Column("tags", Text, nullable=False),
        Column("use_cases", Text, nullable=False),
        Column("production_on", Text),
        Column("end_of_support_on", Text),
        Column("long_term_support", Boolean, nullable=False),
        Column("successor", Text),
        Column("weights_digest", Text),
        Column("provenance", Text, nullable=False),
        Column("card_url", Text, nullable=False),
        Column("dimensions", BigInteger),
        Column("template_tokens", BigInteger, nullable=False),
        Column("control_tokens", Text, nullable=False),
        Column("created_unix_s", BigInteger, nullable=False),
    )
    op.create_table(
        "prices",
        Column("version", Text, primary_key=True),
        Column("model_id", Text, primary_key=True),
        Column("valid_from_unix_ms", BigInteger, nullable=False),
        Column("input_microeuro_per_mtoken", BigInteger, nullable=False),
        Column("cached_microeuro_per_mtoken", BigInteger, nullable=False),
        Column("output_microeuro_per_mtoken", BigInteger, nullable=False),
        Column("reasoning_microeuro_per_mtoken", BigInteger, nullable=False),
    )


def _create_ledger() -> None:
    op.create_table(
        "accounts",
        Column("account", Text, primary_key=True),
        Column("tenant_id", Text),
        Column("incarnation", Text),
        Column("world", Boolean, nullable=False),
        Column("balance", Pico, nullable=False),
        CheckConstraint("world OR balance >= 0", name="accounts_not_overdrawn"),
    )
    op.create_table(
        "transfers",
        Column("kind", Text, primary_key=True),
        Column("reference", Text, primary_key=True),
        Column("debit", Text, ForeignKey("accounts.account"), primary_key=True),
        Column("credit", Text, ForeignKey("accounts.account"), nullable=False),
        Column("amount", Pico, nullable=False),
        Column("at_unix_ms", BigInteger, nullable=False),
        CheckConstraint("amount > 0", name="transfers_move_something"),
        CheckConstraint("debit <> credit", name="transfers_have_two_ends"),
    )
    op.create_table(
        "incarnations",
        Column("incarnation", Text, primary_key=True),
        Column("position", BigInteger, nullable=False),
        Column("opened_unix_ms", BigInteger, nullable=False),
        Column("returned_unix_ms", BigInteger),
        CheckConstraint("position >= 0", name="incarnations_position"),
    )
    op.create_index("accounts_of_incarnation", "accounts", ["incarnation"])


def _create_usage() -> None:
    op.create_table(
        "usage",
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
        UniqueConstraint("request_id", name="usage_request_id"),
        CheckConstraint(
            "input >= 0 AND cached >= 0 AND output >= 0 AND reasoning >= 0", name="usage_tokens_are_counts"
        ),
        CheckConstraint("billed >= 0 AND written_off >= 0", name="usage_amounts"),
        CheckConstraint("estimated IN (0, 1)", name="usage_estimated"),
    )
    op.create_table(
        "rollups",
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
        CheckConstraint(
            "requests >= 0 AND estimated >= 0 AND input >= 0 AND cached >= 0 AND output >= 0 AND reasoning >= 0",
            name="rollups_are_counts",
        ),
        CheckConstraint("billed >= 0 AND written_off >= 0", name="rollups_amounts"),
    )
    op.create_index("usage_newest", "usage", ["started_unix_ms", "request_id"])
    op.create_index("usage_newest_of_tenant", "usage", ["tenant_id", "started_unix_ms", "request_id"])
