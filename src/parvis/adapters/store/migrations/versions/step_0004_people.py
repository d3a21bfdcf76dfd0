"""People, twice: customers' users and the operator's staff. Only tables are added."""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Integer, LargeBinary, Text

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the tables of both realms."""
    for prefix in ("user", "operator"):
        _people(f"{prefix}s")
        _grants(f"{prefix}_grants", f"{prefix}s")
        _invitations(f"{prefix}_invitations")
        _factors(prefix, f"{prefix}s")
        _sessions(f"{prefix}_sessions", f"{prefix}s")
        _tokens(f"{prefix}_tokens", f"{prefix}s")
        _failures(f"{prefix}_failures")


def _people(name: str) -> None:
    op.create_table(
        name,
        Column("user_id", Text, primary_key=True),
        _text("organisation_id"),
        _text("email"),
        Column("email_same", Text),
        _text("name"),
        _text("standing"),
        _text("language"),
        _instant("created_unix_ms"),
        Column("last_seen_unix_ms", BigInteger),
        _text("password_hash"),
        Column("totp_sealed_seed", LargeBinary),
        Column("totp_step", BigInteger),
        Column("totp_enrolled_unix_ms", BigInteger),
    )
    op.create_index(f"{name}_by_email", name, ["email_same"], unique=True)
    op.create_index(f"{name}_by_organisation", name, ["organisation_id", "user_id"])


def _grants(name: str, people: str) -> None:
    op.create_table(
        name,
        Column("grant_id", Text, primary_key=True),
        _owner(people),
        _text("role"),
        _text("organisation_id"),
        _text("tenant_id"),
        _text("granted_by"),
        _instant("granted_unix_ms"),
    )
    op.create_index(f"{name}_once", name, ["user_id", "role", "organisation_id", "tenant_id"], unique=True)
    op.create_index(f"{name}_by_place", name, ["organisation_id", "tenant_id"])


def _invitations(name: str) -> None:
    op.create_table(
        name,
        Column("invitation_id", Text, primary_key=True),
        _text("organisation_id"),
        _text("email"),
        _text("email_same"),
        _text("roles"),
        _text("invited_by"),
        _instant("created_unix_ms"),
        _instant("ends_unix_ms"),
        _text("state"),
        Column("digest", LargeBinary, nullable=False),
    )
    op.create_index(f"{name}_by_email", name, ["email_same", "state"])
    op.create_index(f"{name}_by_organisation", name, ["organisation_id", "invitation_id"])


def _factors(prefix: str, people: str) -> None:
    passkeys, challenges = f"{prefix}_passkeys", f"{prefix}_challenges"
    op.create_table(
        passkeys,
        Column("credential_id", Text, primary_key=True),
        _owner(people),
        _text("name"),
        Column("public_key", LargeBinary, nullable=False),
        _instant("sign_count"),
        _instant("created_unix_ms"),
        Column("used_unix_ms", BigInteger),
    )
    op.create_index(f"{passkeys}_of_user", passkeys, ["user_id"])
    op.create_table(
        f"{prefix}_recovery_codes",
        Column("user_id", Text, ForeignKey(f"{people}.user_id"), primary_key=True),
        Column("digest", LargeBinary, primary_key=True),
    )
    op.create_table(
        challenges,
        Column("challenge_id", Text, primary_key=True),
        _text("purpose"),
        _text("user_id"),
        Column("value", LargeBinary, nullable=False),
        _instant("ends_unix_ms"),
    )
    op.create_index(f"{challenges}_by_end", challenges, ["ends_unix_ms"])


def _sessions(name: str, people: str) -> None:
    op.create_table(
        name,
        Column("session_id", Text, primary_key=True),
        _owner(people),
        Column("digest", LargeBinary, nullable=False),
        _text("means"),
        Column("complete", Boolean, nullable=False),
        _text("address"),
        _instant("created_unix_ms"),
        _instant("seen_unix_ms"),
        _instant("proven_unix_ms"),
    )
    op.create_index(f"{name}_by_digest", name, ["digest"], unique=True)
    op.create_index(f"{name}_of_user", name, ["user_id"])
    op.create_index(f"{name}_by_time", name, ["created_unix_ms"])


def _tokens(name: str, people: str) -> None:
    op.create_table(
        name,
        Column("token_id", Text, primary_key=True),
        _owner(people),
        _text("name"),
        Column("digest", LargeBinary, nullable=False),
        _text("limits"),
        _instant("created_unix_ms"),
        _instant("ends_unix_ms"),
        Column("used_unix_ms", BigInteger),
        _text("standing"),
    )
    op.create_index(f"{name}_of_user", name, ["user_id"])


def _failures(name: str) -> None:
    op.create_table(
        name,
        Column("subject", Text, primary_key=True),
        Column("in_a_row", Integer, nullable=False),
        _instant("last_unix_ms"),
    )
    op.create_index(f"{name}_by_time", name, ["last_unix_ms"])


def _owner(people: str) -> Column[str]:
    return Column("user_id", Text, ForeignKey(f"{people}.user_id"), nullable=False)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _instant(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)
