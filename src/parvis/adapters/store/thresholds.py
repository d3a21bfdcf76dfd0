"""Amounts of money of which somebody was told that they are reached: once each."""

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select

from parvis.adapters.store.database import Room
from parvis.adapters.store.limit_tables import thresholds
from parvis.adapters.store.notices import keep_notices
from parvis.core.money import Money
from parvis.domain.identity.notice import Notice


class Thresholds(Room):
    """The part of `LimitStore` that is about what was told, on SQL."""

    async def thresholds_told(self, month: int) -> set[tuple[str, Money]]:
        """See the port."""
        return await self.database.read(_told, month)

    async def tell_threshold(
        self, subject: str, month: int, amounts: Sequence[Money], notices: Sequence[Notice], now_unix_ms: int
    ) -> int:
        """See the port."""
        return await self.database.run(_tell, subject, month, amounts, notices, now_unix_ms)


def _told(connection: Connection, month: int) -> set[tuple[str, Money]]:
    rows = select(thresholds.c.subject, thresholds.c.amount).where(thresholds.c.month == month)
    return {(row.subject, Money(row.amount)) for row in connection.execute(rows)}


def _tell(
    connection: Connection,
    subject: str,
    month: int,
    amounts: Sequence[Money],
    notices: Sequence[Notice],
    now_unix_ms: int,
) -> int:
    known = {amount for named, amount in _told(connection, month) if named == subject}
    new = [amount for amount in amounts if amount not in known]
    for amount in new:
        told = {"subject": subject, "month": month, "amount": amount.pico_euro, "told_unix_ms": now_unix_ms}
        connection.execute(insert(thresholds).values(**told))
    return keep_notices(connection, notices, now_unix_ms) if new else 0
