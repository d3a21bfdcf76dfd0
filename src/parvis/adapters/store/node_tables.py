"""The tables of machines."""

from sqlalchemy import BigInteger, Column, Table, Text, UniqueConstraint

from parvis.adapters.store.columns import metadata

nodes = Table(
    "nodes",
    metadata,
    Column("node_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("serial", Text, nullable=False),
    Column("joined_unix_ms", BigInteger, nullable=False),
    Column("removed_unix_ms", BigInteger),
    UniqueConstraint("serial", name="nodes_serial"),
)

join_codes = Table(
    "join_codes",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("ends_unix_ms", BigInteger, nullable=False),
)
