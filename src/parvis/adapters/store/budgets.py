"""Budgets: what each subject has spent in a month, and what gateways hold of what it may spend.

Usage is the truth. A row counts what was booked of the requests that started in its month, from the first on: the row
is made before, with what the roll-ups show (which is nothing, unless an older release booked it).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import ColumnElement, Connection, delete, insert, select

from parvis.adapters.store.booking import batches
from parvis.adapters.store.bulk import replace
from parvis.adapters.store.dialect import ExactSum
from parvis.adapters.store.identity_tables import tenants
from parvis.adapters.store.ledger_tables import budget_asks, budget_leases, budgets
from parvis.adapters.store.limits import monthly_limit
from parvis.adapters.store.tables import rollups
from parvis.core.errors import Conflict
from parvis.core.money import Money
from parvis.domain.metering.records import Started, UsageRecord
from parvis.domain.metering.totals import day_of
from parvis.domain.quota.budget import LeaseAnswer, budget_account, budget_of, grant_size, month_bounds_ms, month_of
from parvis.domain.quota.limit import Level, subject

Budget = tuple[int, str]
"""A month and a subject."""
ASK_MS = 24 * 3_600_000
"""For how long an ask is known again. A gateway asks again within seconds."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a gateway run asks of an account, under an id."""

    account: str
    incarnation: str
    ask: str
    now_unix_ms: int


@lru_cache(maxsize=10_000)
def levels_of(tenant_id: str, organisation_id: str, project_id: str, owner_id: str, key_id: str) -> tuple[str, ...]:
    """Whose spending a request is; a project and an owner where there are some."""
    named = [
        (Level.CONTRACT, tenant_id),
        (Level.ORGANISATION, organisation_id),
        (Level.TENANT, tenant_id),
        (Level.PROJECT, project_id),
        (Level.USER, owner_id),
        (Level.KEY, key_id),
    ]
    return tuple(subject(level, name) for level, name in named if name)


def _subjects_of(started: Started) -> tuple[str, ...]:
    return levels_of(started.tenant_id, started.organisation_id, started.project_id, started.owner_id, started.key_id)


# ------------------------------------------------------------------------------------------------ lend and return


def lend_budget(
    connection: Connection, budget: Budget, asked: Asked, need: int, wanted: int, holders: int
) -> LeaseAnswer:
    """See `LedgerStore.lend`. The run is open."""
    made_sure(connection, [budget])
    spent, leased = _amounts(connection, [budget])[budget]
    limit = monthly_limit(connection, budget[1])
    known = _answered(connection, asked)
    left = wanted if limit is None else max(0, limit.pico_euro - spent - leased)
    if known is not None:
        return LeaseAnswer(known, Money(left))
    granted = wanted if limit is None else grant_size(left, need, wanted, holders)
    if granted:
        _put_amounts(connection, {budget: (spent, leased + granted)})
        held = _leases(connection, asked.incarnation).get(budget, 0)
        _put_leases(connection, asked.incarnation, {budget: held + granted})
        _answer(connection, asked, granted)
    return LeaseAnswer(Money(granted), Money(left if limit is None else left - granted))


def return_budget(connection: Connection, budget: Budget, asked: Asked, amount: int) -> Money:
    """See `LedgerStore.return_part`. The run is open."""
    known = _answered(connection, asked)
    if known is not None:
        return known
    held = _leases(connection, asked.incarnation).get(budget, 0)
    back = min(held, amount)
    if back:
        spent, leased = _amounts(connection, [budget])[budget]
        _put_amounts(connection, {budget: (spent, leased - back)})
        _put_leases(connection, asked.incarnation, {budget: held - back})
        _answer(connection, asked, back)
    return Money(back)


def budgets_held(connection: Connection, incarnation: str) -> dict[str, Money]:
    """What a run holds of budgets, by their accounts."""
    held = sorted(_leases(connection, incarnation).items())
    return {budget_account(named, month): Money(amount) for (month, named), amount in held if amount}


def holders_of_budget(connection: Connection, budget: Budget) -> list[str]:
    """Runs that hold something of it, sorted."""
    month, named = budget
    of_it = select(budget_leases.c.incarnation).where(budget_leases.c.month == month, budget_leases.c.subject == named)
    return list(connection.scalars(of_it.where(budget_leases.c.amount != 0).order_by(budget_leases.c.incarnation)))


def free_budgets(connection: Connection, incarnation: str) -> None:
    """The run holds nothing any more, and asks for nothing."""
    held = _leases(connection, incarnation)
    before = _amounts(connection, list(held))
    _put_amounts(connection, {b: (before[b][0], before[b][1] - amount) for b, amount in held.items() if amount})
    connection.execute(delete(budget_leases).where(budget_leases.c.incarnation == incarnation))
    connection.execute(delete(budget_asks).where(budget_asks.c.incarnation == incarnation))


def forget_asks(connection: Connection, before_unix_ms: int) -> None:
    """Nobody asks again what was asked before."""
    connection.execute(delete(budget_asks).where(budget_asks.c.at_unix_ms < before_unix_ms))


def _answered(connection: Connection, asked: Asked) -> Money | None:
    """What this ask was answered, if it was. Raises Conflict when it was another's."""
    row = connection.execute(select(budget_asks).where(budget_asks.c.ask == asked.ask)).one_or_none()
    if row is None:
        return None
    if (row.account, row.incarnation) != (asked.account, asked.incarnation):
        raise Conflict(f"Ask '{asked.ask}' was for another lease.")
    return Money(row.amount)


def _answer(connection: Connection, asked: Asked, amount: int) -> None:
    values = {
        "ask": asked.ask,
        "account": asked.account,
        "incarnation": asked.incarnation,
        "amount": amount,
        "at_unix_ms": asked.now_unix_ms,
    }
    connection.execute(insert(budget_asks).values(**values))


# ------------------------------------------------------------------------------------------------------- booking


def spend(connection: Connection, incarnation: str, records: Sequence[UsageRecord]) -> None:
    """What these requests were billed is spent by their subjects, and not leased any more where it was held.

    Comes before their roll-ups.
    """
    spent: Counter[Budget] = Counter()
    used: Counter[Budget] = Counter()
    tenant_ids = set()
    for started, settled in records:
        month = month_of(started.started_unix_ms)
        tenant_ids.add(started.tenant_id)
        for named in _subjects_of(started):
            spent[month, named] += settled.billed_pico_euro
        for account in started.budgets:
            found = budget_of(account)
            if found is not None:
                used[found[1], found[0]] += settled.billed_pico_euro
    made_sure(connection, list(spent), tenant_ids)
    held = _leases(connection, incarnation) if used else {}
    freed = {budget: min(amount, held.get(budget, 0)) for budget, amount in used.items()}
    before = _amounts(connection, list(spent.keys() | {budget for budget, amount in freed.items() if amount}))
    after = {b: (s + spent[b], leased - freed.get(b, 0)) for b, (s, leased) in before.items()}
    _put_amounts(connection, {b: amounts for b, amounts in after.items() if amounts != before[b]})
    _put_leases(connection, incarnation, {b: held[b] - amount for b, amount in freed.items() if amount})


def made_sure(connection: Connection, wanted: Sequence[Budget], tenant_ids: Collection[str] = ()) -> None:
    """Make the rows that are missing. All requests of these subjects are of these tenants, where some are named."""
    missing = set(wanted) - _amounts(connection, wanted).keys()
    for month in sorted({month for month, _ in missing}):
        names = [named for of, named in missing if of == month]
        booked = _booked(connection, month, names, tenant_ids)
        _put_amounts(connection, {(month, named): (booked.get(named, 0), 0) for named in names})


def _booked(connection: Connection, month: int, names: Iterable[str], tenant_ids: Collection[str]) -> dict[str, int]:
    """What the roll-ups show. They do not know projects and users, and no release before this one did."""
    first, last = (day_of(bound) for bound in month_bounds_ms(month))
    within = [rollups.c.day >= first, rollups.c.day < last]
    if tenant_ids:
        within.append(rollups.c.tenant_id.in_(tenant_ids))
    found: dict[str, int] = {}
    by_level: dict[str, list[str]] = {}
    for named in names:
        level, _, name = named.partition(":")
        by_level.setdefault(level, []).append(name)
    for level, column in _ROLLED_UP.items():
        asked = select(column, ExactSum(rollups.c.billed)).select_from(_SOURCE).where(*within).group_by(column)
        for some in batches(by_level.get(level, [])):
            rows = connection.execute(asked.where(column.in_(some)))
            found.update((subject(Level(level), name), amount) for name, amount in rows)
    return found


_SOURCE = rollups.join(tenants, tenants.c.tenant_id == rollups.c.tenant_id)
_ROLLED_UP: dict[str, ColumnElement[str]] = {
    Level.CONTRACT: rollups.c.tenant_id.expression,
    Level.TENANT: rollups.c.tenant_id.expression,
    Level.ORGANISATION: tenants.c.organisation_id.expression,
    Level.KEY: rollups.c.key_id.expression,
}


# --------------------------------------------------------------------------------------------------------- rows


def _amounts(connection: Connection, wanted: Sequence[Budget]) -> dict[Budget, tuple[int, int]]:
    """Spent and leased, of those that exist."""
    found: dict[Budget, tuple[int, int]] = {}
    for month in {month for month, _ in wanted}:
        for some in batches([named for of, named in wanted if of == month]):
            rows = select(budgets).where(budgets.c.month == month, budgets.c.subject.in_(some))
            found.update(((row.month, row.subject), (row.spent, row.leased)) for row in connection.execute(rows))
    return found


def _put_amounts(connection: Connection, amounts: dict[Budget, tuple[int, int]]) -> None:
    rows = [(*budget, str(spent), str(leased)) for budget, (spent, leased) in sorted(amounts.items())]
    replace(connection, budgets, ("month", "subject"), ("spent", "leased"), rows)


def _leases(connection: Connection, incarnation: str) -> dict[Budget, int]:
    """What one run holds."""
    rows = connection.execute(select(budget_leases).where(budget_leases.c.incarnation == incarnation))
    return {(row.month, row.subject): row.amount for row in rows}


def _put_leases(connection: Connection, incarnation: str, amounts: dict[Budget, int]) -> None:
    rows = [(*budget, incarnation, str(amount)) for budget, amount in sorted(amounts.items())]
    replace(connection, budget_leases, ("month", "subject", "incarnation"), ("amount",), rows)
