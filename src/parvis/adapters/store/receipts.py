"""Batches of receipts. In a batch requests stand in the order of their bookings, and within each of their ids."""

from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, tuple_

from parvis.adapters.store.database import Room
from parvis.adapters.store.receipt_tables import receipt_batches
from parvis.adapters.store.tables import usage
from parvis.adapters.store.usage import record_of
from parvis.core.errors import Conflict
from parvis.domain.billing.batch import Batch, Bookings, LeafPlace
from parvis.domain.metering.records import UsageRecord

_ORDER = (usage.c.booking, usage.c.request_id)


class Receipts(Room):
    """`ReceiptStore` on SQL."""

    async def unsealed(self, limit: int) -> tuple[Bookings, list[UsageRecord]] | None:
        """See the port."""
        return await self.database.read(_unsealed, limit)

    async def add_batch(self, batch: Batch) -> None:
        """See the port."""
        await self.database.run(_add, batch)

    async def last_batch(self) -> Batch | None:
        """See the port."""
        return await self.database.read(_last)

    async def leaf_place(self, request_id: str) -> LeafPlace | None:
        """See the port."""
        return await self.database.read(_leaf_place, request_id)


def _last(connection: Connection) -> Batch | None:
    """The newest one."""
    found = select(receipt_batches).order_by(receipt_batches.c.first.desc()).limit(1)
    return _batch(connection.execute(found).one_or_none())


def _unsealed(connection: Connection, limit: int) -> tuple[Bookings, list[UsageRecord]] | None:
    before = _last(connection)
    beyond = usage.c.booking > (0 if before is None else before.last)
    some = connection.scalars(select(usage.c.booking).where(beyond).order_by(usage.c.booking).limit(limit)).all()
    if not some:
        return None
    whole = select(usage).where(beyond, usage.c.booking <= some[-1]).order_by(*_ORDER)
    requests = [record_of(row) for row in connection.execute(whole)]
    return Bookings(some[0], some[-1], b"" if before is None else before.document), requests


def _add(connection: Connection, batch: Batch) -> None:
    before = _last(connection)
    if before is not None and batch.first <= before.last:
        raise Conflict(f"Bookings up to {before.last} are in a batch already.")
    connection.execute(insert(receipt_batches).values(batch._asdict()))


def _leaf_place(connection: Connection, request_id: str) -> LeafPlace | None:
    row = connection.execute(select(*_ORDER).where(usage.c.request_id == request_id)).one_or_none()
    if row is None:
        return None
    batch = _batch_of(connection, row.booking)
    return LeafPlace(row.booking, batch, 0 if batch is None else _index(connection, batch, row))


def _batch_of(connection: Connection, booking: int) -> Batch | None:
    before = select(receipt_batches).where(receipt_batches.c.first <= booking)
    found = _batch(connection.execute(before.order_by(receipt_batches.c.first.desc()).limit(1)).one_or_none())
    return found if found is not None and booking <= found.last else None


def _index(connection: Connection, batch: Batch, row: Row[str, int]) -> int:
    """How many requests of the batch stand before it."""
    within = usage.c.booking.between(batch.first, row.booking)
    before = select(func.count()).where(within, tuple_(*_ORDER) < (row.booking, row.request_id))
    return connection.scalar(before) or 0


def _batch(row: Row[Any] | None) -> Batch | None:
    return None if row is None else Batch(*(getattr(row, name) for name in Batch._fields))
