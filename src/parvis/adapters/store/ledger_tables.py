"""The tables of budgets, of orders, and of what the books keep about themselves."""

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text

from parvis.adapters.store.columns import Words, metadata
from parvis.adapters.store.dialect import Pico

budgets = Table(
    "budgets",
    metadata,
    Column("month", Integer, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("spent", Pico, nullable=False),
    Column("leased", Pico, nullable=False),
    CheckConstraint("spent >= 0 AND leased >= 0", name="budgets_amounts"),
)
"""What each subject has spent in a month, whether it has a limit or not, and what gateways hold of its limit.

A row is made when the subject is first used in the month.
"""

budget_leases = Table(
    "budget_leases",
    metadata,
    Column("month", Integer, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("incarnation", Text, ForeignKey("incarnations.incarnation"), primary_key=True),
    Column("amount", Pico, nullable=False),
    CheckConstraint("amount >= 0", name="budget_leases_amount"),
    Index("budget_leases_of_incarnation", "incarnation"),
)
"""What one gateway run holds of a budget; without those that hold nothing."""

budget_asks = Table(
    "budget_asks",
    metadata,
    Column("ask", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("incarnation", Text, ForeignKey("incarnations.incarnation"), nullable=False),
    Column("amount", Pico, nullable=False),
    Column("at_unix_ms", BigInteger, nullable=False),
    CheckConstraint("amount > 0", name="budget_asks_amount"),
    Index("budget_asks_by_time", "at_unix_ms"),
)
"""What was granted of budgets or came back, by the id under which it was asked, as long as it may be asked again."""

unbookable = Table(
    "unbookable",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("incarnation", Text, ForeignKey("incarnations.incarnation"), nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at_unix_ms", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
)
"""Requests that the books refused, as the journal had them (JSON), and what an operator has found out about them."""

orders = Table(
    "orders",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("amount", Pico, nullable=False),
    Column("unspent", Pico, nullable=False),
    Column("expired", Pico, nullable=False),
    Column("note", Text, nullable=False),
    Column("made_unix_ms", BigInteger, nullable=False),
    Column("expires_unix_ms", BigInteger),
    Column("closed_unix_ms", BigInteger),
    CheckConstraint("amount > 0 AND unspent >= 0 AND expired >= 0", name="orders_amounts"),
    Index("orders_of_tenant", "tenant_id", "made_unix_ms"),
    Index("orders_expiring", "expires_unix_ms"),
)
"""Credit as it was ordered. `unspent` is as of the last time that orders were looked through: see `orders`."""

bookings = Table(
    "bookings",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("number", BigInteger, nullable=False),
)
"""One row: the number of the last booking. Writers take turns, so numbers are in the order of commits."""

verified = Table(
    "verified",
    metadata,
    Column("account", Text, primary_key=True),
    Column("balance", Pico, nullable=False),
)
"""What all transfers up to the last self-check make of each account."""

self_checks = Table(
    "self_checks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("booking", BigInteger, nullable=False),
    Column("at_unix_ms", BigInteger, nullable=False),
    Column("whole_unix_ms", BigInteger, nullable=False),
    Column("differences", Words, nullable=False),
)
"""One row: how far the books were checked, when, when as a whole, and what was found."""
