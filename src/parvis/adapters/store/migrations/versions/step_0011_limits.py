"""Tiers and limits, and the amounts of which notices say that they are reached. Tables and columns are only added."""

import json
from collections.abc import Iterator

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text, column, select, table

from parvis.adapters.store.dialect import Pico

revision = "0011"
down_revision = "0010"

_FIRST = (
    ("standard", "Standard", "Standard", 200, 1_000, 150_000, 300),
    ("professional", "Professional", "Professionnel", 500, 3_000, 300_000, 600),
    ("high-volume", "High volume", "Gros volume", 1_000, 5_000, 450_000, 1_200),
    ("enterprise", "Enterprise", "Entreprise", 4_000, 10_000, 600_000, 2_400),
)
_PICO = 10**12


def upgrade() -> None:
    """Create and extend the tables. A store that is in use gets the published tiers: a new one, at its first start."""
    tiers = op.create_table(
        "tiers",
        Column("tier_id", Text, primary_key=True),
        *(Column(name, Text, nullable=False) for name in ("name", "name_fr", "limits")),
        Column("priority", Integer, nullable=False),
        Column("entry_credit", Pico, nullable=False),
        Column("version", BigInteger, nullable=False),
    )
    op.create_table(
        "limits",
        Column("subject", Text, primary_key=True),
        *(Column(name, Text, nullable=False) for name in ("level", "organisation_id", "tenant_id", "limits")),
        Column("version", BigInteger, nullable=False),
    )
    op.create_index("limits_version", "limits", ["version"])
    op.create_table(
        "thresholds",
        Column("subject", Text, primary_key=True),
        Column("month", Integer, primary_key=True),
        Column("amount", Pico, primary_key=True),
        Column("told_unix_ms", BigInteger, nullable=False),
    )
    op.add_column("tenants", Column("tier_id", Text, nullable=False, server_default=""))
    op.add_column("tenants", Column("exhaustion", Text, nullable=False, server_default="clip"))
    op.add_column("notices", Column("amount_pico_euro", Pico))
    op.add_column("notices", Column("limit_pico_euro", Pico))
    if op.get_bind().execute(select(column("tenant_id")).select_from(table("tenants")).limit(1)).first() is not None:
        op.bulk_insert(tiers, list(_first_tiers()))


def _first_tiers() -> Iterator[dict[str, object]]:
    """As they were published when this step was made: they are the operator's from then on."""
    for tier_id, name, name_fr, entry, monthly, hourly, requests in _FIRST:
        rates = [
            ["requests", "minute", requests],
            ["input_tokens", "minute", hourly],
            ["output_tokens", "hour", hourly],
            ["output_tokens", "day", hourly * 24],
        ]
        said = json.dumps({"rates": rates, "monthly": str(monthly * _PICO)}, sort_keys=True)
        yield _row(tier_id, name, name_fr, said, 0, entry * _PICO)
    yield _row("monthly", "Monthly billing", "Facturation mensuelle", "{}", 1, 0)


def _row(tier_id: str, name: str, name_fr: str, limits: str, priority: int, entry: int) -> dict[str, object]:
    facts = {"limits": limits, "priority": priority, "entry_credit": entry, "version": 0}
    return {"tier_id": tier_id, "name": name, "name_fr": name_fr, **facts}
