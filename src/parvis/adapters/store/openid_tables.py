"""The tables of sign-in by OpenID Connect."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, LargeBinary, Table, Text

from parvis.adapters.store.columns import Facts, metadata

openid_providers = Table(
    "openid_providers",
    metadata,
    Column("organisation_id", Text, ForeignKey("organisations.organisation_id"), primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("required", Boolean, nullable=False),
    Column("rules", Facts, nullable=False),
)

openid_links = Table(
    "openid_links",
    metadata,
    Column("organisation_id", Text, ForeignKey("organisations.organisation_id"), primary_key=True),
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Index("openid_links_of_user", "user_id"),
)

openid_visits = Table(
    "openid_visits",
    metadata,
    Column("state_digest", LargeBinary, primary_key=True),
    Column("browser_digest", LargeBinary, nullable=False),
    Column("organisation_id", Text, ForeignKey("organisations.organisation_id"), nullable=False),
    Column("nonce", Text, nullable=False),
    Column("sealed_verifier", LargeBinary, nullable=False),
    Column("return_to", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("ends_unix_ms", BigInteger, nullable=False),
    Index("openid_visits_by_end", "ends_unix_ms"),
    Index("openid_visits_by_address", "address"),
)
