"""Credit, leases and what becomes of them."""

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from parvis.adapters.store.booking import balances
from parvis.adapters.store.budgets import ASK_MS, Asked, forget_asks
from parvis.adapters.store.database import Room
from parvis.adapters.store.ingest import ingest
from parvis.adapters.store.ledger_tables import budgets, unbookable
from parvis.adapters.store.lending import (
    declare_lost,
    end_run,
    find_run,
    held_by,
    holders_of,
    lend,
    open_incarnations,
    opened,
    return_part,
)
from parvis.adapters.store.tables import incarnations
from parvis.core.errors import NotFound
from parvis.core.money import ZERO, Money
from parvis.domain.billing.books import Unbooked
from parvis.domain.metering.records import UsageRecord
from parvis.domain.quota.budget import LeaseAnswer, Spending


class Ledger(Room):
    """The part of `LedgerStore` that gateways and journals need, on SQL."""

    async def balance(self, account: str) -> Money:
        """See the port."""
        return await self.database.read(_balance, account)

    async def lend(
        self, account: str, incarnation: str, need: Money, wanted: Money, ask: str, holders: int = 1
    ) -> LeaseAnswer:
        """See the port."""
        asked = Asked(account, incarnation, ask, self._clock.unix_ms())
        return await self.database.run(lend, asked, need.pico_euro, wanted.pico_euro, holders)

    async def return_part(self, account: str, incarnation: str, amount: Money, ask: str) -> Money:
        """See the port."""
        asked = Asked(account, incarnation, ask, self._clock.unix_ms())
        return await self.database.run(return_part, asked, amount.pico_euro)

    async def return_lease(self, incarnation: str) -> Money:
        """See the port."""
        return await self.database.run(end_run, incarnation, self._clock.unix_ms())

    async def declare_lost(self, incarnation: str, note: str) -> dict[str, Money]:
        """See the port."""
        return await self.database.run(declare_lost, incarnation, note, self._clock.unix_ms())

    async def held_by(self, incarnation: str) -> dict[str, Money]:
        """See the port."""
        return await self.database.read(held_by, incarnation)

    async def holders_of(self, account: str) -> list[str]:
        """See the port."""
        return await self.database.read(holders_of, account)

    async def open_incarnations(self) -> list[str]:
        """See the port."""
        return await self.database.read(open_incarnations)

    async def forget_asks(self) -> None:
        """See the port."""
        await self.database.run(forget_asks, self._clock.unix_ms() - ASK_MS)

    async def ingest(self, incarnation: str, position: int, records: Sequence[UsageRecord]) -> int:
        """See the port."""
        return await self.database.run(_ingest, incarnation, position, records, self._clock.unix_ms())

    async def position(self, incarnation: str) -> int:
        """See the port."""
        return await self.database.read(_position, incarnation)

    async def unbookable(self, after: str | None = None, limit: int = 100) -> list[Unbooked]:
        """See the port."""
        return await self.database.read(_unbookable, after, limit)

    async def dismiss(self, request_id: str, note: str) -> None:
        """See the port."""
        await self.database.run(_dismiss, request_id, note)

    async def spending(self, subjects: Sequence[str], month: int) -> dict[str, Spending]:
        """See the port."""
        return await self.database.read(_spending, subjects, month)


def _balance(connection: Connection, account: str) -> Money:
    return Money(balances(connection, [account]).get(account, 0))


def _ingest(connection: Connection, incarnation: str, position: int, records: Sequence[UsageRecord], now: int) -> int:
    before = opened(connection, incarnation, now)
    fresh = ingest(connection, incarnation, records, now)
    if position > before.position:
        moved = update(incarnations).where(incarnations.c.incarnation == incarnation)
        connection.execute(moved.values(position=position))
    return fresh


def _position(connection: Connection, incarnation: str) -> int:
    row = find_run(connection, incarnation)
    return 0 if row is None else int(row.position)


def _unbookable(connection: Connection, after: str | None, limit: int) -> list[Unbooked]:
    rows = select(unbookable).order_by(unbookable.c.request_id).limit(limit)
    if after is not None:
        rows = rows.where(unbookable.c.request_id > after)
    return [Unbooked(**row._mapping) for row in connection.execute(rows)]  # noqa: SLF001 - the documented way


def _dismiss(connection: Connection, request_id: str, note: str) -> None:
    looked_into = update(unbookable).where(unbookable.c.request_id == request_id).values(note=note)
    if not connection.execute(looked_into).rowcount:
        raise NotFound(f"No request '{request_id}' was set aside.")


def _spending(connection: Connection, subjects: Sequence[str], month: int) -> dict[str, Spending]:
    rows = select(budgets).where(budgets.c.month == month, budgets.c.subject.in_(subjects))
    found = {row.subject: Spending(Money(row.spent), Money(row.leased)) for row in connection.execute(rows)}
    return {one: found.get(one, Spending(ZERO, ZERO)) for one in subjects}
