"""What operators want of the fleet."""

from alembic import op
from sqlalchemy import Column, Text

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add deployments, and marks on replicas."""
    op.create_table(
        "deployments",
        Column("deployment_id", Text, primary_key=True),
        Column("pool", Text, nullable=False),
        Column("facts", Text, nullable=False),
    )
    op.create_table(
        "replica_marks",
        Column("replica_id", Text, primary_key=True),
        Column("state", Text, nullable=False),
    )
