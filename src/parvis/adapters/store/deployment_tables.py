"""The tables of what operators want of the fleet."""

from sqlalchemy import Column, Table, Text

from parvis.adapters.store.columns import Facts, metadata

deployments = Table(
    "deployments",
    metadata,
    Column("deployment_id", Text, primary_key=True),
    Column("pool", Text, nullable=False),
    Column("facts", Facts, nullable=False),
)
"""All other fields are facts: no query looks into them, and a source of a later release may have more of them."""

replica_marks = Table(
    "replica_marks",
    metadata,
    Column("replica_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
)
