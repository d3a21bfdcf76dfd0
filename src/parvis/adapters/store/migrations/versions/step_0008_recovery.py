"""Links that let somebody come back whose sign-in was reset. Invitations have no user, and stay as they are."""

from alembic import op
from sqlalchemy import Column, Text

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add whose link it is, in both realms."""
    for name in ("user_invitations", "operator_invitations"):
        op.add_column(name, Column("user_id", Text))
        op.create_index(f"{name}_of_user", name, ["user_id"])
