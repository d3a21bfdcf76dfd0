"""Sign-in by OpenID Connect: providers of organisations, links of their people, and visits to providers."""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, LargeBinary, Text

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "openid_providers",
        _organisation(primary_key=True),
        Column("issuer", Text, nullable=False),
        Column("client_id", Text, nullable=False),
        Column("sealed_secret", LargeBinary, nullable=False),
        Column("required", Boolean, nullable=False),
        Column("rules", Text, nullable=False),
    )
    op.create_table(
        "openid_links",
        _organisation(primary_key=True),
        Column("issuer", Text, primary_key=True),
        Column("subject", Text, primary_key=True),
        Column("user_id", Text, nullable=False),
    )
    op.create_index("openid_links_of_user", "openid_links", ["user_id"])
    op.create_table(
        "openid_visits",
        Column("state_digest", LargeBinary, primary_key=True),
        Column("browser_digest", LargeBinary, nullable=False),
        _organisation(primary_key=False),
        Column("nonce", Text, nullable=False),
        Column("sealed_verifier", LargeBinary, nullable=False),
        Column("return_to", Text, nullable=False),
        Column("address", Text, nullable=False),
        Column("ends_unix_ms", BigInteger, nullable=False),
    )
    op.create_index("openid_visits_by_end", "openid_visits", ["ends_unix_ms"])
    op.create_index("openid_visits_by_address", "openid_visits", ["address"])


def _organisation(*, primary_key: bool) -> Column[object]:
    organisation = ForeignKey("organisations.organisation_id")
    return Column("organisation_id", Text, organisation, primary_key=primary_key, nullable=False)
