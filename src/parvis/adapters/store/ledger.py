"""Credit, leases and what becomes of them."""

from collections.abc import Sequence

from sqlalchemy import Connection, Row, insert, select, update

from parvis.adapters.store.booking import (
    ALLOWANCE,
    account_of,
    balances,
    book,
    lease_of,
)
from parvis.adapters.store.database import Room
from parvis.adapters.store.identity import tenant_of
from parvis.adapters.store.ingest import ingest
from parvis.adapters.store.selfcheck import check
from parvis.adapters.store.tables import accounts, incarnations, transfers
from parvis.core.errors import BadRequest, Conflict
from parvis.core.money import ZERO, Money
from parvis.domain.billing.transfer import Transfer, TransferKind
from parvis.domain.metering.records import UsageRecord


class Ledger(Room):
    """`LedgerStore` on SQL."""

    async def credit(self, tenant_id: str, amount: Money, reference: str) -> None:
        """See the port."""
        await self.database.run(_credit, tenant_id, _positive(amount), reference, self._clock.unix_ms())

    async def balance(self, account: str) -> Money:
        """See the port."""
        return await self.database.read(_balance, account)

    async def grant_lease(self, tenant_id: str, incarnation: str, amount: Money, grant_id: str) -> Money:
        """See the port."""
        now = self._clock.unix_ms()
        return await self.database.run(_grant, tenant_id, incarnation, _positive(amount), grant_id, now)

    async def ingest(self, incarnation: str, position: int, records: Sequence[UsageRecord]) -> int:
        """See the port."""
        return await self.database.run(_ingest, incarnation, position, records, self._clock.unix_ms())

    async def position(self, incarnation: str) -> int:
        """See the port."""
        return await self.database.read(_position, incarnation)

    async def return_lease(self, incarnation: str) -> Money:
        """See the port."""
        return await self.database.run(_return, incarnation, self._clock.unix_ms())

    async def open_incarnations(self) -> list[str]:
        """See the port."""
        return await self.database.read(_open_incarnations)

    async def check(self) -> list[str]:
        """See the port."""
        return await self.database.read(check)


def _positive(amount: Money) -> Money:
    if amount <= ZERO:
        raise BadRequest(f"An amount of {amount} cannot be moved: it must be above zero.", param="amount")
    return amount


def _credit(connection: Connection, tenant_id: str, amount: Money, reference: str, now: int) -> None:
    account = account_of(tenant_of(connection, tenant_id).tenant_id)
    wanted = Transfer(TransferKind.CREDIT, reference, ALLOWANCE.name, account.name, amount)
    known = _find(connection, wanted.kind, reference, wanted.debit)
    if known is None:
        book(connection, [wanted], [ALLOWANCE, account], now)
    elif (known.credit, known.amount) != (wanted.credit, amount.pico_euro):
        raise Conflict(f"Reference '{reference}' was used for another credit.", param="reference")


def _balance(connection: Connection, account: str) -> Money:
    return Money(balances(connection, [account]).get(account, 0))


def _grant(connection: Connection, tenant_id: str, incarnation: str, wanted: Money, grant_id: str, now: int) -> Money:
    tenant = tenant_of(connection, tenant_id)
    account, lease = account_of(tenant_id), lease_of(tenant_id, incarnation)
    _open(connection, incarnation, now)
    known = _find(connection, TransferKind.GRANT, grant_id, account.name)
    if known is not None:
        if known.credit != lease.name:
            raise Conflict(f"Grant '{grant_id}' was given to another gateway run.")
        return Money(known.amount)
    left = _balance(connection, account.name)
    moved = []
    if left < wanted and tenant.credit_unlimited:
        moved.append(Transfer(TransferKind.CREDIT, grant_id, ALLOWANCE.name, account.name, wanted - left))
        left = wanted
    granted = min(left, wanted)
    if granted > ZERO:
        moved.append(Transfer(TransferKind.GRANT, grant_id, account.name, lease.name, granted))
    book(connection, moved, [ALLOWANCE, account, lease], now)
    return granted


def _ingest(connection: Connection, incarnation: str, position: int, records: Sequence[UsageRecord], now: int) -> int:
    before = _opened(connection, incarnation, now)
    fresh = ingest(connection, incarnation, records, now)
    if position > before.position:
        moved = update(incarnations).where(incarnations.c.incarnation == incarnation)
        connection.execute(moved.values(position=position))
    return fresh


def _position(connection: Connection, incarnation: str) -> int:
    row = _incarnation(connection, incarnation)
    return 0 if row is None else int(row.position)


def _return(connection: Connection, incarnation: str, now: int) -> Money:
    if _opened(connection, incarnation, now).returned_unix_ms is not None:
        return ZERO
    closed = update(incarnations).where(incarnations.c.incarnation == incarnation)
    connection.execute(closed.values(returned_unix_ms=now))
    held = select(accounts.c.tenant_id, accounts.c.balance).where(accounts.c.incarnation == incarnation)
    back = [(row.tenant_id, Money(row.balance)) for row in connection.execute(held) if row.balance]
    moved = [
        Transfer(
            TransferKind.RETURN,
            incarnation,
            lease_of(tenant_id, incarnation).name,
            account_of(tenant_id).name,
            amount,
        )
        for tenant_id, amount in back
    ]
    ends = [account for tenant_id, _ in back for account in (lease_of(tenant_id, incarnation), account_of(tenant_id))]
    book(connection, moved, ends, now)
    return sum((amount for _, amount in back), ZERO)


def _open_incarnations(connection: Connection) -> list[str]:
    held = select(incarnations.c.incarnation).where(incarnations.c.returned_unix_ms.is_(None))
    return list(connection.scalars(held.order_by(incarnations.c.incarnation)))


def _open(connection: Connection, incarnation: str, now: int) -> None:
    if _opened(connection, incarnation, now).returned_unix_ms is not None:
        raise Conflict(f"Gateway run '{incarnation}' has returned its leases and gets no more.")


def _opened(connection: Connection, incarnation: str, now: int) -> Row[tuple[object, ...]]:
    """Its row, made at its first appearance."""
    row = _incarnation(connection, incarnation)
    if row is None:
        connection.execute(insert(incarnations).values(incarnation=incarnation, position=0, opened_unix_ms=now))
        row = _incarnation(connection, incarnation)
    if row is None:
        raise LookupError(incarnation)
    return row


def _incarnation(connection: Connection, incarnation: str) -> Row[tuple[object, ...]] | None:
    return connection.execute(select(incarnations).where(incarnations.c.incarnation == incarnation)).one_or_none()


def _find(connection: Connection, kind: TransferKind, reference: str, debit: str) -> Row[tuple[object, ...]] | None:
    same = select(transfers).where(
        transfers.c.kind == kind, transfers.c.reference == reference, transfers.c.debit == debit
    )
    return connection.execute(same).one_or_none()
