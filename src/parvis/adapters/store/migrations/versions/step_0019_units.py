"""What requests use beside tokens: audio, documents, images. Nothing of it in what was booked before."""

from alembic import op
from sqlalchemy import BigInteger, Column

revision = "0019"
down_revision = "0018"
_UNITS = ("audio_minutes", "documents", "images")


def upgrade() -> None:
    """Add the counts: 0 of every row that is there, and of what the release before writes."""
    for table, names in (("usage", ("audio_ms", *_UNITS)), ("rollups", _UNITS)):
        for name in names:
            op.add_column(table, Column(name, BigInteger, nullable=False, server_default="0"))
