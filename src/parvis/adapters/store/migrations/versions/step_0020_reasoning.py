"""Models whose template opens their reasoning."""

from alembic import op
from sqlalchemy import Boolean, Column, false

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add the fact: false of every model, and of what the release before writes."""
    op.add_column("models", Column("begins_in_reasoning", Boolean, nullable=False, server_default=false()))
