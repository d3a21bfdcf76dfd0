"""The tables of tiers, of limits, and of the amounts of which somebody was told that they are reached."""

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from parvis.adapters.store.columns import Facts, metadata
from parvis.adapters.store.dialect import Pico

tiers = Table(
    "tiers",
    metadata,
    Column("tier_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("name_fr", Text, nullable=False),
    Column("limits", Facts, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("entry_credit", Pico, nullable=False),
    Column("version", BigInteger, nullable=False),
)

limits = Table(
    "limits",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("level", Text, nullable=False),
    Column("organisation_id", Text, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("limits", Facts, nullable=False),
    Column("version", BigInteger, nullable=False),
    Index("limits_version", "version"),
)
"""What was set, a row a subject. Of a contract it is what was agreed beside the tier.

A row whose limits were taken away stays, without any: so gateways learn of it. `tenant_id` is empty of an organisation
and of a user.
"""

thresholds = Table(
    "thresholds",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("month", Integer, primary_key=True),
    Column("amount", Pico, primary_key=True),
    Column("told_unix_ms", BigInteger, nullable=False),
)
"""Amounts of which notice was given that a subject has spent them in a month. Of a tenant's credit, `month` is 0."""
