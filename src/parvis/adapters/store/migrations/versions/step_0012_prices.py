"""Prices of batches and of what is not counted in tokens. What a list does not say is NULL: half, or not sold."""

from alembic import op
from sqlalchemy import BigInteger, Column

revision = "0012"
down_revision = "0011"
_ADDED = (
    "batch_input_microeuro_per_mtoken",
    "batch_cached_microeuro_per_mtoken",
    "batch_output_microeuro_per_mtoken",
    "batch_reasoning_microeuro_per_mtoken",
    "audio_pico_euro_per_minute",
    "rerank_pico_euro_per_document",
    "image_pico_euro_each",
)


def upgrade() -> None:
    """Add them."""
    for name in _ADDED:
        op.add_column("prices", Column(name, BigInteger))
