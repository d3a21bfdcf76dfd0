"""Budgets against the requests and the leases that they are made of."""

from collections import Counter
from collections.abc import Iterator

from sqlalchemy import Connection, func, select

from parvis.adapters.store.budgets import Budget, levels_of
from parvis.adapters.store.dialect import ExactSum
from parvis.adapters.store.ledger_tables import budget_leases, budgets
from parvis.adapters.store.tables import usage
from parvis.core.money import Money
from parvis.domain.metering.totals import DAY_MS
from parvis.domain.quota.budget import month_of

_NAMED = ("tenant_id", "organisation_id", "project_id", "owner_id", "key_id")


def spent_wrong(connection: Connection) -> Iterator[str]:
    """What subjects have spent in a month is what their requests were billed."""
    made, must_be = _spent(connection)
    rows = {(row.month, row.subject): row.spent for row in connection.execute(select(budgets))}
    for budget in sorted(rows.keys() | must_be):
        if rows.get(budget) != made[budget]:
            stands = Money(rows[budget]) if budget in rows else "nothing"
            month, named = budget
            yield f"budget {named} of {month}: it has {stands} spent, its requests make {Money(made[budget])}"


def _spent(connection: Connection) -> tuple[Counter[Budget], set[Budget]]:
    """By the requests; and which budgets must be there, because this release has booked something of them."""
    columns = [usage.c[name] for name in _NAMED]
    rows = select(usage.c.day, func.max(usage.c.booking), ExactSum(usage.c.billed), *columns)
    made: Counter[Budget] = Counter()
    must_be = set()
    for day, booking, billed, *names in connection.execute(rows.group_by(usage.c.day, *columns)):
        month = month_of(day * DAY_MS)
        for named in levels_of(*names):
            made[month, named] += billed
            if booking:
                must_be.add((month, named))
    return made, must_be


def leased_wrong(connection: Connection) -> Iterator[str]:
    """What is leased of a budget is the sum of its leases."""
    month, named, amount = budget_leases.c.month, budget_leases.c.subject, ExactSum(budget_leases.c.amount)
    held = {(row[0], row[1]): row[2] for row in connection.execute(select(month, named, amount).group_by(month, named))}
    some = select(budgets.c.month, budgets.c.subject, budgets.c.leased).where(budgets.c.leased != 0)
    rows = {(row.month, row.subject): row.leased for row in connection.execute(some)}
    for budget in sorted(rows.keys() | held.keys()):
        stands, should = rows.get(budget, 0), held.get(budget, 0)
        if stands != should:
            yield f"budget {budget[1]} of {budget[0]}: {Money(stands)} is leased, its leases are {Money(should)}"
