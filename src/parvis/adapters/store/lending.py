"""Leases: what gateway runs hold of accounts, from the first ask to the end of the run."""

from sqlalchemy import Connection, Row, insert, select, update

from parvis.adapters.store.booking import ALLOWANCE, account_of, balances, book, lease_of
from parvis.adapters.store.budgets import (
    Asked,
    budgets_held,
    free_budgets,
    holders_of_budget,
    lend_budget,
    return_budget,
)
from parvis.adapters.store.identity import tenant_of
from parvis.adapters.store.rates import free_places
from parvis.adapters.store.tables import accounts, incarnations, transfers
from parvis.core.errors import BadRequest, Conflict, NotFound
from parvis.core.money import ZERO, Money
from parvis.domain.billing.transfer import Transfer, TransferKind, lease_account, tenant_account, tenant_of_account
from parvis.domain.quota.budget import LeaseAnswer, budget_of, grant_size


def lend(connection: Connection, asked: Asked, need: int, wanted: int, holders: int) -> LeaseAnswer:
    """See `LedgerStore.lend`."""
    if need < 0 or max(need, wanted) <= 0:
        raise BadRequest(f"A lease of {Money(wanted)} cannot be had: it must be above zero.", param="amount")
    budget = budget_of(asked.account)
    if budget is not None:
        _demand_open(connection, asked)
        return lend_budget(connection, (budget[1], budget[0]), asked, need, max(need, wanted), holders)
    return _lend_credit(connection, asked, need, max(need, wanted), holders)


def _lend_credit(connection: Connection, asked: Asked, need: int, wanted: int, holders: int) -> LeaseAnswer:
    tenant = tenant_of(connection, tenant_of_account(asked.account))
    account, lease = account_of(tenant.tenant_id), lease_of(tenant.tenant_id, asked.incarnation)
    _demand_open(connection, asked)
    left = balances(connection, [account.name]).get(account.name, 0)
    known = find_transfer(connection, TransferKind.GRANT, asked.ask, account.name)
    if known is not None:
        if known.credit != lease.name:
            raise Conflict(f"Ask '{asked.ask}' was for another lease.")
        return LeaseAnswer(Money(known.amount), Money(left))
    moved = []
    granted = wanted if tenant.credit_unlimited else grant_size(left, need, wanted, holders)
    if granted > left:
        moved.append(Transfer(TransferKind.CREDIT, asked.ask, ALLOWANCE.name, account.name, Money(granted - left)))
        left = granted
    if granted:
        moved.append(Transfer(TransferKind.GRANT, asked.ask, account.name, lease.name, Money(granted)))
    book(connection, moved, [ALLOWANCE, account, lease], asked.now_unix_ms)
    return LeaseAnswer(Money(granted), Money(left - granted))


def return_part(connection: Connection, asked: Asked, amount: int) -> Money:
    """See `LedgerStore.return_part`."""
    if amount <= 0:
        raise BadRequest(f"An amount of {Money(amount)} cannot come back: it must be above zero.", param="amount")
    if opened(connection, asked.incarnation, asked.now_unix_ms).returned_unix_ms is not None:
        return ZERO
    budget = budget_of(asked.account)
    if budget is not None:
        return return_budget(connection, (budget[1], budget[0]), asked, amount)
    tenant_id = tenant_of_account(asked.account)
    account, lease = account_of(tenant_id), lease_of(tenant_id, asked.incarnation)
    known = find_transfer(connection, TransferKind.RETURN, asked.ask, lease.name)
    if known is not None:
        return Money(known.amount)
    back = Money(min(amount, balances(connection, [lease.name]).get(lease.name, 0)))
    if back > ZERO:
        moved = [Transfer(TransferKind.RETURN, asked.ask, lease.name, account.name, back)]
        book(connection, moved, [lease, account], asked.now_unix_ms)
    return back


def end_run(
    connection: Connection, incarnation: str, now: int, kind: TransferKind = TransferKind.RETURN, note: str = ""
) -> Money:
    """See `LedgerStore.return_lease` and `declare_lost`."""
    if opened(connection, incarnation, now).returned_unix_ms is not None:
        return ZERO
    closed = update(incarnations).where(incarnations.c.incarnation == incarnation)
    connection.execute(closed.values(returned_unix_ms=now))
    back = _credit_held(connection, incarnation)
    moved = [
        Transfer(kind, incarnation, lease_account(tenant_id, incarnation), tenant_account(tenant_id), amount, note)
        for tenant_id, amount in back.items()
    ]
    ends = [account for tenant_id in back for account in (lease_of(tenant_id, incarnation), account_of(tenant_id))]
    book(connection, moved, ends, now)
    free_budgets(connection, incarnation)
    free_places(connection, incarnation)
    return sum(back.values(), ZERO)


def declare_lost(connection: Connection, incarnation: str, note: str, now: int) -> dict[str, Money]:
    """See `LedgerStore.declare_lost`."""
    held = held_by(connection, incarnation)
    row = find_run(connection, incarnation)
    if row is None:
        raise NotFound(f"There is no gateway run '{incarnation}'.")
    if row.returned_unix_ms is not None:
        raise Conflict(f"Gateway run '{incarnation}' has returned its leases: nothing of it is open.")
    end_run(connection, incarnation, now, TransferKind.LOST, note)
    return held


def held_by(connection: Connection, incarnation: str) -> dict[str, Money]:
    """See `LedgerStore.held_by`."""
    credit = {tenant_account(tenant_id): amount for tenant_id, amount in _credit_held(connection, incarnation).items()}
    return credit | budgets_held(connection, incarnation)


def holders_of(connection: Connection, account: str) -> list[str]:
    """See `LedgerStore.holders_of`."""
    budget = budget_of(account)
    if budget is not None:
        return holders_of_budget(connection, (budget[1], budget[0]))
    of_it = select(accounts.c.incarnation).where(
        accounts.c.tenant_id == tenant_of_account(account), accounts.c.incarnation.is_not(None)
    )
    return list(connection.scalars(of_it.where(accounts.c.balance != 0).order_by(accounts.c.incarnation)))


def open_incarnations(connection: Connection) -> list[str]:
    """See `LedgerStore.open_incarnations`."""
    held = select(incarnations.c.incarnation).where(incarnations.c.returned_unix_ms.is_(None))
    return list(connection.scalars(held.order_by(incarnations.c.incarnation)))


def opened(connection: Connection, incarnation: str, now: int) -> Row[tuple[object, ...]]:
    """The row of a run, made at its first appearance."""
    row = find_run(connection, incarnation)
    if row is None:
        connection.execute(insert(incarnations).values(incarnation=incarnation, position=0, opened_unix_ms=now))
        row = find_run(connection, incarnation)
    if row is None:
        raise LookupError(incarnation)
    return row


def find_run(connection: Connection, incarnation: str) -> Row[tuple[object, ...]] | None:
    """The row of a run that has appeared."""
    return connection.execute(select(incarnations).where(incarnations.c.incarnation == incarnation)).one_or_none()


def find_transfer(
    connection: Connection, kind: TransferKind, reference: str, debit: str
) -> Row[tuple[object, ...]] | None:
    """The one transfer of this kind under this reference."""
    same = select(transfers).where(
        transfers.c.kind == kind, transfers.c.reference == reference, transfers.c.debit == debit
    )
    return connection.execute(same).one_or_none()


def _credit_held(connection: Connection, incarnation: str) -> dict[str, Money]:
    """What a run holds of tenants' credit."""
    held = select(accounts.c.tenant_id, accounts.c.balance).where(accounts.c.incarnation == incarnation)
    rows = connection.execute(held.order_by(accounts.c.tenant_id))
    return {row.tenant_id: Money(row.balance) for row in rows if row.balance}


def _demand_open(connection: Connection, asked: Asked) -> None:
    if opened(connection, asked.incarnation, asked.now_unix_ms).returned_unix_ms is not None:
        raise Conflict(f"Gateway run '{asked.incarnation}' has returned its leases and gets no more.")
