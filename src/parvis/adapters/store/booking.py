"""Transfers and the balances that they change, written together or not at all."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection, bindparam, insert, select, update

from parvis.adapters.store.tables import accounts, transfers
from parvis.core.errors import Conflict
from parvis.core.money import Money
from parvis.domain.billing.transfer import (
    REVENUE,
    WORLD_ALLOWANCE,
    WORLD_WRITE_OFF,
    Transfer,
    lease_account,
    tenant_account,
)

T = TypeVar("T")

VALUES_MAX = 500
"""How many values one statement lists; both databases take many more."""


class Account(NamedTuple):
    """An account's name and whose it is. World accounts may be negative."""

    name: str
    tenant_id: str | None = None
    incarnation: str | None = None
    world: bool = False


ALLOWANCE = Account(WORLD_ALLOWANCE, world=True)
WRITE_OFF = Account(WORLD_WRITE_OFF, world=True)
INCOME = Account(REVENUE)


def account_of(tenant_id: str) -> Account:
    """What a tenant may still spend."""
    return Account(tenant_account(tenant_id), tenant_id)


def lease_of(tenant_id: str, incarnation: str) -> Account:
    """What one gateway run holds of it."""
    return Account(lease_account(tenant_id, incarnation), tenant_id, incarnation)


def batches(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """As many as one statement takes at a time."""
    return (values[start : start + VALUES_MAX] for start in range(0, len(values), VALUES_MAX))


def balances(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """What is on these accounts, in pico-euro; those that never moved are absent."""
    found: dict[str, int] = {}
    for some in batches(names):
        rows = connection.execute(select(accounts.c.account, accounts.c.balance).where(accounts.c.account.in_(some)))
        found.update((row.account, row.balance) for row in rows)
    return found


def book(connection: Connection, moved: Sequence[Transfer], touched: Iterable[Account], at_unix_ms: int) -> None:
    """Write transfers and the balances after them; accounts that are new are opened.

    Raises Conflict, before anything is written, when an account that is not a world account would be
    negative.
    """
    if not moved:
        return
    change: Counter[str] = Counter()
    for transfer in moved:
        change[transfer.debit] -= transfer.amount.pico_euro
        change[transfer.credit] += transfer.amount.pico_euro
    _move(connection, change, {account.name: account for account in touched})
    connection.execute(insert(transfers), [_row(transfer, at_unix_ms) for transfer in moved])


def _move(connection: Connection, change: Counter[str], touched: dict[str, Account]) -> None:
    before = balances(connection, sorted(change))
    after = {name: before.get(name, 0) + change[name] for name in sorted(change)}
    for name, balance in after.items():
        if balance < 0 and not touched[name].world:
            raise Conflict(f"Account '{name}' holds {Money(before.get(name, 0))}, less than is taken from it.")
    opened = [touched[name] for name in after if name not in before]
    if opened:
        connection.execute(insert(accounts), [_opened(account, after[account.name]) for account in opened])
    changed = [{"of": name, "balance": after[name]} for name in after if name in before and change[name]]
    if changed:
        connection.execute(update(accounts).where(accounts.c.account == bindparam("of")), changed)


def _opened(account: Account, balance: int) -> dict[str, object]:
    return {
        "account": account.name,
        "tenant_id": account.tenant_id,
        "incarnation": account.incarnation,
        "world": account.world,
        "balance": balance,
    }


def _row(transfer: Transfer, at_unix_ms: int) -> dict[str, object]:
    return {
        "kind": transfer.kind,
        "reference": transfer.reference,
        "debit": transfer.debit,
        "credit": transfer.credit,
        "amount": transfer.amount.pico_euro,
        "at_unix_ms": at_unix_ms,
    }
