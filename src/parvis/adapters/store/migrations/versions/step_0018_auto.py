"""Entries of the catalogue that choose a model for each request."""

from alembic import op
from sqlalchemy import Column, Text

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add the policy of `auto` entries: NULL of every model, and of what the release before writes."""
    op.add_column("models", Column("auto", Text))
