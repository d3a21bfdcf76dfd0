"""The tables of access reviews. Rows are evidence: none is ever removed."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Table, Text

from parvis.adapters.store.columns import Words, metadata

reviews = Table(
    "reviews",
    metadata,
    Column("review_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("organisation_id", Text, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("reviewers", Words, nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("opened_unix_ms", BigInteger, nullable=False),
    Column("due_unix_ms", BigInteger, nullable=False),
    Column("closed_unix_ms", BigInteger),
)

review_items = Table(
    "review_items",
    metadata,
    Column("review_id", Text, ForeignKey("reviews.review_id"), primary_key=True),
    Column("item_id", Text, primary_key=True),
    Column("means", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("who_id", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("organisation_id", Text, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("since_unix_ms", BigInteger, nullable=False),
    Column("granted_by", Text, nullable=False),
    Column("last_used_unix_ms", BigInteger),
    Column("ends_unix_ms", BigInteger),
    Column("works", Boolean, nullable=False),
    Column("proposal", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("decided_unix_ms", BigInteger),
    Index("review_items_by_decision", "review_id", "decision", "item_id"),
)
"""A right as it was when the review was opened; `decision` is empty until there is one."""
