"""The tables of rates and places, and of what each gateway run was answered last."""

from sqlalchemy import BigInteger, Column, Table, Text

from parvis.adapters.store.columns import metadata

rate_buckets = Table(
    "rate_buckets",
    metadata,
    Column("bucket", Text, primary_key=True),
    Column("seen_us", BigInteger, nullable=False),
    Column("debt_ns", BigInteger, nullable=False),
    Column("interval_ns", BigInteger, nullable=False),
)
"""The state of `domain.quota.gcra`. What has drained may go: a bucket without a row is full."""

rate_places = Table(
    "rate_places",
    metadata,
    Column("bucket", Text, primary_key=True),
    Column("incarnation", Text, primary_key=True),
    Column("places", BigInteger, nullable=False),
)

rate_trades = Table(
    "rate_trades",
    metadata,
    Column("incarnation", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("answer", Text, nullable=False),
)
"""The last answer of each run, as a JSON list of slices."""
