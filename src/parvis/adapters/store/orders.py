"""Orders of credit, what becomes of them, and refunds.

How much of an order is unspent follows from what is left of the tenant's credit. It is worked out whenever the set of
open orders changes; between two such moments the order of spending is fixed, so nothing is lost by waiting.
"""

from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from parvis.adapters.store.booking import ALLOWANCE, INCOME, account_of, balances, book
from parvis.adapters.store.database import Room
from parvis.adapters.store.dialect import ExactSum
from parvis.adapters.store.identity import tenant_of
from parvis.adapters.store.ledger_tables import orders
from parvis.adapters.store.lending import find_transfer
from parvis.adapters.store.tables import accounts, rollups, transfers
from parvis.core.errors import BadRequest, Conflict
from parvis.core.money import ZERO, Money
from parvis.domain.billing.order import Order, spend_in_order
from parvis.domain.billing.transfer import Transfer, TransferKind

_AMOUNTS = ("amount", "unspent", "expired")


class Orders(Room):
    """`OrderStore` on SQL."""

    async def credit(self, tenant_id: str, amount: Money, reference: str) -> None:
        """See the port."""
        await self.add_order(Order(reference, tenant_id, amount))

    async def add_order(self, order: Order) -> Order:
        """See the port."""
        return await self.database.run(_add_order, replace(order, made_unix_ms=self._clock.unix_ms()))

    async def orders_page(self, tenant_id: str | None, after: str | None, limit: int) -> list[Order]:
        """See the port."""
        return await self.database.read(_orders_page, tenant_id, after, limit)

    async def expire_orders(self, now_unix_ms: int) -> list[Order]:
        """See the port."""
        return await self.database.run(_expire_orders, now_unix_ms)

    async def refund(self, tenant_id: str, amount: Money, reference: str, note: str) -> None:
        """See the port."""
        made = Order(reference, tenant_id, amount, note, None, self._clock.unix_ms(), TransferKind.REFUND)
        await self.database.run(_refund, made)


def _add_order(connection: Connection, order: Order) -> Order:
    account = account_of(tenant_of(connection, order.tenant_id).tenant_id)
    credit = Transfer(
        TransferKind.CREDIT, order.order_id, ALLOWANCE.name, account.name, _positive(order.amount), order.note
    )
    if not _is_known(connection, credit, order):
        _keep(connection, order)
        book(connection, [credit], [ALLOWANCE, account], order.made_unix_ms)
    row = _find(connection, order.order_id)
    now = {one.order_id: one for one in _open_orders(connection, order.tenant_id)}
    return now.get(order.order_id) or (order if row is None else _order(row))


def _refund(connection: Connection, refund: Order) -> None:
    account = account_of(tenant_of(connection, refund.tenant_id).tenant_id)
    back = Transfer(
        TransferKind.REFUND, refund.order_id, INCOME.name, account.name, _positive(refund.amount), refund.note
    )
    if _is_known(connection, back, refund):
        return
    paid = _billed(connection, refund.tenant_id) - _refunded(connection, account.name)
    if refund.amount > paid:
        raise Conflict(f"Tenant '{refund.tenant_id}' was billed {paid} that was not refunded.", param="euro")
    _keep(connection, refund)
    book(connection, [back], [INCOME, account], refund.made_unix_ms)


def _positive(amount: Money) -> Money:
    if amount <= ZERO:
        raise BadRequest(f"An amount of {amount} cannot be moved: it must be above zero.", param="amount")
    return amount


def _is_known(connection: Connection, wanted: Transfer, order: Order) -> bool:
    """Raises Conflict when its reference was used for something else."""
    moved = find_transfer(connection, wanted.kind, wanted.reference, wanted.debit)
    if moved is None:
        return False
    row = _find(connection, order.order_id)  # none of an order that is older than orders
    same_time = row is None or row.expires_unix_ms == order.expires_unix_ms
    if (moved.credit, moved.amount) != (wanted.credit, wanted.amount.pico_euro) or not same_time:
        raise Conflict(f"Reference '{wanted.reference}' was used for something else.", param="reference")
    return True


def _find(connection: Connection, order_id: str) -> Row[Any] | None:
    return connection.execute(select(orders).where(orders.c.order_id == order_id)).one_or_none()


def _keep(connection: Connection, order: Order) -> None:
    """A new order. What was spent before is of those before it."""
    if _find(connection, order.order_id) is not None:
        raise Conflict(f"Reference '{order.order_id}' was used for something else.", param="reference")
    for before in _open_orders(connection, order.tenant_id):
        _put(connection, before)
    connection.execute(insert(orders).values(**_values(replace(order, unspent=order.amount))))


def _open_orders(connection: Connection, tenant_id: str) -> list[Order]:
    """Those of which something may be unspent, as of now; what is spent next comes first."""
    rows = select(orders).where(orders.c.tenant_id == tenant_id, orders.c.unspent != 0)
    return spend_in_order([_order(row) for row in connection.execute(rows)], _left(connection, tenant_id))


def _left(connection: Connection, tenant_id: str) -> Money:
    """All of a tenant's credit that nothing was billed against, what gateways hold included."""
    held = connection.scalars(select(accounts.c.balance).where(accounts.c.tenant_id == tenant_id))
    return Money(sum(held.all()))


def _expire_orders(connection: Connection, now: int) -> list[Order]:
    due = select(orders.c.tenant_id).where(orders.c.expires_unix_ms <= now, orders.c.closed_unix_ms.is_(None))
    tenant_ids = sorted(set(connection.scalars(due)))
    return [order for tenant_id in tenant_ids for order in _expire(connection, tenant_id, now)]


def _expire(connection: Connection, tenant_id: str, now: int) -> list[Order]:
    """Those of one tenant; the part that gateways hold waits."""
    account = account_of(tenant_id)
    free = Money(balances(connection, [account.name]).get(account.name, 0))
    moved, changed = [], []
    for order in _unclosed(connection, tenant_id, now):
        back = min(order.unspent, free)
        free -= back
        unspent = order.unspent - back
        closed = now if unspent == ZERO else None
        after = replace(order, unspent=unspent, expired=order.expired + back, closed_unix_ms=closed)
        _put(connection, after)
        if back > ZERO:
            reference = f"{order.order_id}:{now}"
            moved.append(Transfer(TransferKind.EXPIRY, reference, account.name, ALLOWANCE.name, back))
        if after != order:
            changed.append(after)
    book(connection, moved, [ALLOWANCE, account], now)
    return changed


def _unclosed(connection: Connection, tenant_id: str, now: int) -> list[Order]:
    """Every order of which something is unspent is brought up to date; those whose time is over are returned."""
    for order in _open_orders(connection, tenant_id):
        _put(connection, order)
    over = select(orders).where(
        orders.c.tenant_id == tenant_id, orders.c.expires_unix_ms <= now, orders.c.closed_unix_ms.is_(None)
    )
    return [_order(row) for row in connection.execute(over.order_by(orders.c.expires_unix_ms, orders.c.order_id))]


def _orders_page(connection: Connection, tenant_id: str | None, after: str | None, limit: int) -> list[Order]:
    rows = select(orders).order_by(orders.c.order_id).limit(limit)
    if tenant_id is not None:
        rows = rows.where(orders.c.tenant_id == tenant_id)
    if after is not None:
        rows = rows.where(orders.c.order_id > after)
    page = [_order(row) for row in connection.execute(rows)]
    now = {
        order.order_id: order
        for tenant in sorted({order.tenant_id for order in page})
        for order in _open_orders(connection, tenant)
    }
    return [now.get(order.order_id, order) for order in page]


def _billed(connection: Connection, tenant_id: str) -> Money:
    """All that a tenant ever was billed."""
    total = connection.scalar(select(ExactSum(rollups.c.billed)).where(rollups.c.tenant_id == tenant_id))
    return Money(int(total or 0))


def _refunded(connection: Connection, account: str) -> Money:
    back = select(ExactSum(transfers.c.amount)).where(
        transfers.c.kind == TransferKind.REFUND, transfers.c.credit == account
    )
    return Money(int(connection.scalar(back) or 0))


def _put(connection: Connection, order: Order) -> None:
    values = {name: value for name, value in _values(order).items() if name != "order_id"}
    connection.execute(update(orders).where(orders.c.order_id == order.order_id).values(**values))


def _order(row: Row[Any]) -> Order:
    values = dict(row._mapping)  # noqa: SLF001 - the documented way to a row's names
    return Order(**values | {"kind": TransferKind(row.kind), **{name: Money(values[name]) for name in _AMOUNTS}})


def _values(order: Order) -> dict[str, Any]:
    amounts = {name: getattr(order, name).pico_euro for name in _AMOUNTS}
    return asdict(order) | amounts | {"kind": order.kind.value}
