"""Budgets, orders, and books that check themselves. Transfers and usage can only grow from here on.

The release before writes no number of its booking (0), so what it books while it still serves is seen by the first
check of this one.
"""

from alembic import op
from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Integer, Text

from parvis.adapters.store.demands import demand_all
from parvis.adapters.store.dialect import Pico, forbid_changes

revision = "0009"
down_revision = "0008"

_ORDERED_BEFORE = """
INSERT INTO orders (order_id, tenant_id, kind, amount, unspent, expired, note, made_unix_ms)
SELECT given.reference, accounts.tenant_id, given.kind, given.amount, given.amount, given.amount - given.amount, '',
    given.at_unix_ms
FROM transfers AS given JOIN accounts ON accounts.account = given.credit
WHERE given.kind = 'credit'
    AND NOT EXISTS (SELECT 1 FROM transfers AS lent WHERE lent.kind = 'grant' AND lent.reference = given.reference)
"""
"""Credit that was given is an order that never expires. What filled up unlimited credit has the id of a grant."""


def upgrade() -> None:
    """Add the tables, the columns, and what rows must fulfil."""
    _add_columns()
    _create_budgets()
    _create_orders()
    _create_own_books()
    demand_all(op.get_bind())
    for table in ("transfers", "usage"):
        forbid_changes(op.get_bind(), table)


def _add_columns() -> None:
    for name, empty in (("project_id", ""), ("owner_id", ""), ("budgets", "[]"), ("quarantined", "")):
        op.add_column("usage", Column(name, Text, nullable=False, server_default=empty))
    op.add_column("transfers", Column("note", Text, nullable=False, server_default=""))
    op.create_index("accounts_of_tenant", "accounts", ["tenant_id"])
    for table in ("usage", "transfers"):
        op.add_column(table, Column("booking", BigInteger, nullable=False, server_default="0"))
        op.create_index(f"{table}_of_booking", table, ["booking"])


def _create_budgets() -> None:
    op.create_table(
        "budgets",
        Column("month", Integer, primary_key=True),
        Column("subject", Text, primary_key=True),
        Column("spent", Pico, nullable=False),
        Column("leased", Pico, nullable=False),
        CheckConstraint("spent >= 0 AND leased >= 0", name="budgets_amounts"),
    )
    op.create_table(
        "budget_leases",
        Column("month", Integer, primary_key=True),
        Column("subject", Text, primary_key=True),
        Column("incarnation", Text, ForeignKey("incarnations.incarnation"), primary_key=True),
        Column("amount", Pico, nullable=False),
        CheckConstraint("amount >= 0", name="budget_leases_amount"),
    )
    op.create_index("budget_leases_of_incarnation", "budget_leases", ["incarnation"])
    op.create_table(
        "budget_asks",
        Column("ask", Text, primary_key=True),
        Column("account", Text, nullable=False),
        Column("incarnation", Text, ForeignKey("incarnations.incarnation"), nullable=False),
        Column("amount", Pico, nullable=False),
        Column("at_unix_ms", BigInteger, nullable=False),
        CheckConstraint("amount > 0", name="budget_asks_amount"),
    )
    op.create_index("budget_asks_by_time", "budget_asks", ["at_unix_ms"])


def _create_orders() -> None:
    op.create_table(
        "orders",
        Column("order_id", Text, primary_key=True),
        Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), primary_key=True),
        Column("kind", Text, nullable=False),
        *(Column(name, Pico, nullable=False) for name in ("amount", "unspent", "expired")),
        Column("note", Text, nullable=False),
        Column("made_unix_ms", BigInteger, nullable=False),
        Column("expires_unix_ms", BigInteger),
        Column("closed_unix_ms", BigInteger),
        CheckConstraint("amount > 0 AND unspent >= 0 AND expired >= 0", name="orders_amounts"),
    )
    op.execute(_ORDERED_BEFORE)
    op.create_index("orders_of_tenant", "orders", ["tenant_id", "made_unix_ms"])
    op.create_index("orders_expiring", "orders", ["expires_unix_ms"])


def _create_own_books() -> None:
    op.create_table(
        "unbookable",
        Column("request_id", Text, primary_key=True),
        Column("incarnation", Text, ForeignKey("incarnations.incarnation"), nullable=False),
        *(Column(name, Text, nullable=False) for name in ("tenant_id", "record", "reason")),
        Column("at_unix_ms", BigInteger, nullable=False),
        Column("note", Text, nullable=False),
    )
    op.create_table(
        "bookings",
        Column("id", Integer, primary_key=True),
        Column("number", BigInteger, nullable=False),
    )
    op.create_table(
        "verified",
        Column("account", Text, primary_key=True),
        Column("balance", Pico, nullable=False),
    )
    op.create_table(
        "self_checks",
        Column("id", Integer, primary_key=True),
        *(Column(name, BigInteger, nullable=False) for name in ("booking", "at_unix_ms", "whole_unix_ms")),
        Column("differences", Text, nullable=False),
    )
