"""Transfers and the balances that they change, written together or not at all."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection, insert, select, update

from parvis.adapters.store.bulk import append, replace
from parvis.adapters.store.ledger_tables import bookings
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

_TRANSFER = ("kind", "reference", "debit", "credit", "amount", "at_unix_ms", "note", "booking")
_ACCOUNT = ("tenant_id", "incarnation", "world", "balance")


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


def next_booking(connection: Connection) -> int:
    """The number of what this transaction books next. Writers take turns, so numbers are in the order of commits."""
    grown = update(bookings).values(number=bookings.c.number + 1).returning(bookings.c.number)
    number = connection.scalar(grown)
    if number is None:
        connection.execute(insert(bookings).values(id=1, number=1))
        return 1
    return int(number)


def book(
    connection: Connection,
    moved: Sequence[Transfer],
    touched: Iterable[Account],
    at_unix_ms: int,
    number: int | None = None,
) -> None:
    """Write transfers and the balances after them, under a number of `next_booking`; accounts that are new are opened.

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
    booking = next_booking(connection) if number is None else number
    append(connection, transfers, _TRANSFER, [_row(transfer, at_unix_ms, booking) for transfer in moved])


def _move(connection: Connection, change: Counter[str], touched: dict[str, Account]) -> None:
    before = balances(connection, sorted(change))
    after = {name: before.get(name, 0) + change[name] for name in sorted(change)}
    for name, balance in after.items():
        if balance < 0 and not touched[name].world:
            raise Conflict(f"Account '{name}' holds {Money(before.get(name, 0))}, less than is taken from it.")
    rows = [(*touched[name], str(balance)) for name, balance in after.items() if change[name] or name not in before]
    replace(connection, accounts, ("account",), _ACCOUNT, rows)


def _row(transfer: Transfer, at_unix_ms: int, booking: int) -> tuple[str | int, ...]:
    amount = str(transfer.amount.pico_euro)
    return (
        transfer.kind.value,
        transfer.reference,
        transfer.debit,
        transfer.credit,
        amount,
        at_unix_ms,
        transfer.note,
        booking,
    )
