"""The tables of people: the same ones twice, for customers' users and for the operator's staff.

Nothing refers from the one set to the other, and no query names tables of both.
"""

from dataclasses import dataclass

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text

from parvis.adapters.store.columns import Words, metadata
from parvis.domain.identity.person import Realm


@dataclass(frozen=True, slots=True)
class PeopleTables:
    """The tables of one realm."""

    people: Table
    grants: Table
    invitations: Table
    passkeys: Table
    recovery_codes: Table
    challenges: Table
    sessions: Table
    tokens: Table
    failures: Table


def _tables(prefix: str) -> PeopleTables:
    people = f"{prefix}s"
    return PeopleTables(
        _people(people),
        _grants(f"{prefix}_grants", people),
        _invitations(f"{prefix}_invitations"),
        _passkeys(f"{prefix}_passkeys", people),
        Table(
            f"{prefix}_recovery_codes",
            metadata,
            Column("user_id", Text, ForeignKey(f"{people}.user_id"), primary_key=True),
            Column("digest", LargeBinary, primary_key=True),
        ),
        _challenges(f"{prefix}_challenges"),
        _sessions(f"{prefix}_sessions", people),
        _tokens(f"{prefix}_tokens", people),
        Table(
            f"{prefix}_failures",
            metadata,
            Column("subject", Text, primary_key=True),
            Column("in_a_row", Integer, nullable=False),
            Column("last_unix_ms", BigInteger, nullable=False),
            Index(f"{prefix}_failures_by_time", "last_unix_ms"),
        ),
    )


def _people(name: str) -> Table:
    """`email_same` is what people are found by; who is removed has none. An empty hash is nobody's password."""
    return Table(
        name,
        metadata,
        Column("user_id", Text, primary_key=True),
        Column("organisation_id", Text, nullable=False),
        Column("email", Text, nullable=False),
        Column("email_same", Text),
        Column("name", Text, nullable=False),
        Column("standing", Text, nullable=False),
        Column("language", Text, nullable=False),
        Column("created_unix_ms", BigInteger, nullable=False),
        Column("last_seen_unix_ms", BigInteger),
        Column("password_hash", Text, nullable=False),
        Column("totp_sealed_seed", LargeBinary),
        Column("totp_step", BigInteger),
        Column("totp_enrolled_unix_ms", BigInteger),
        Index(f"{name}_by_email", "email_same", unique=True),
        Index(f"{name}_by_organisation", "organisation_id", "user_id"),
    )


def _grants(name: str, people: str) -> Table:
    return Table(
        name,
        metadata,
        Column("grant_id", Text, primary_key=True),
        Column("user_id", Text, ForeignKey(f"{people}.user_id"), nullable=False),
        Column("role", Text, nullable=False),
        Column("organisation_id", Text, nullable=False),
        Column("tenant_id", Text, nullable=False),
        Column("granted_by", Text, nullable=False),
        Column("granted_unix_ms", BigInteger, nullable=False),
        Index(f"{name}_once", "user_id", "role", "organisation_id", "tenant_id", unique=True),
        Index(f"{name}_by_place", "organisation_id", "tenant_id"),
    )


def _invitations(name: str) -> Table:
    """`roles` holds `role`, `organisation_id`, `tenant_id` in turn. With a `user_id` it is the link of a reset."""
    return Table(
        name,
        metadata,
        Column("invitation_id", Text, primary_key=True),
        Column("organisation_id", Text, nullable=False),
        Column("email", Text, nullable=False),
        Column("email_same", Text, nullable=False),
        Column("roles", Words, nullable=False),
        Column("invited_by", Text, nullable=False),
        Column("created_unix_ms", BigInteger, nullable=False),
        Column("ends_unix_ms", BigInteger, nullable=False),
        Column("state", Text, nullable=False),
        Column("digest", LargeBinary, nullable=False),
        Column("user_id", Text),
        Index(f"{name}_by_email", "email_same", "state"),
        Index(f"{name}_by_organisation", "organisation_id", "invitation_id"),
        Index(f"{name}_of_user", "user_id"),
    )


def _passkeys(name: str, people: str) -> Table:
    return Table(
        name,
        metadata,
        Column("credential_id", Text, primary_key=True),
        Column("user_id", Text, ForeignKey(f"{people}.user_id"), nullable=False),
        Column("name", Text, nullable=False),
        Column("public_key", LargeBinary, nullable=False),
        Column("sign_count", BigInteger, nullable=False),
        Column("created_unix_ms", BigInteger, nullable=False),
        Column("used_unix_ms", BigInteger),
        Index(f"{name}_of_user", "user_id"),
    )


def _challenges(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("challenge_id", Text, primary_key=True),
        Column("purpose", Text, nullable=False),
        Column("user_id", Text, nullable=False),
        Column("value", LargeBinary, nullable=False),
        Column("ends_unix_ms", BigInteger, nullable=False),
        Index(f"{name}_by_end", "ends_unix_ms"),
    )


def _sessions(name: str, people: str) -> Table:
    """By the digest of its cookie a session is found, and by nothing else."""
    return Table(
        name,
        metadata,
        Column("session_id", Text, primary_key=True),
        Column("user_id", Text, ForeignKey(f"{people}.user_id"), nullable=False),
        Column("digest", LargeBinary, nullable=False),
        Column("means", Text, nullable=False),
        Column("complete", Boolean, nullable=False),
        Column("address", Text, nullable=False),
        Column("created_unix_ms", BigInteger, nullable=False),
        Column("seen_unix_ms", BigInteger, nullable=False),
        Column("proven_unix_ms", BigInteger, nullable=False),
        Index(f"{name}_by_digest", "digest", unique=True),
        Index(f"{name}_of_user", "user_id"),
        Index(f"{name}_by_time", "created_unix_ms"),
    )


def _tokens(name: str, people: str) -> Table:
    """`limits` holds, for each right, `organisation_id`, `tenant_id` and its permissions with spaces between."""
    return Table(
        name,
        metadata,
        Column("token_id", Text, primary_key=True),
        Column("user_id", Text, ForeignKey(f"{people}.user_id"), nullable=False),
        Column("name", Text, nullable=False),
        Column("digest", LargeBinary, nullable=False),
        Column("limits", Words, nullable=False),
        Column("created_unix_ms", BigInteger, nullable=False),
        Column("ends_unix_ms", BigInteger, nullable=False),
        Column("used_unix_ms", BigInteger),
        Column("standing", Text, nullable=False),
        Index(f"{name}_of_user", "user_id"),
    )


TABLES = {Realm.CUSTOMER: _tables("user"), Realm.OPERATOR: _tables("operator")}
