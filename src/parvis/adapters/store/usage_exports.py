"""Usage and requests as a whole, a part after the other."""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, select

from parvis.adapters.store.database import Room
from parvis.adapters.store.tables import usage
from parvis.adapters.store.usage import grouped_usage, record_of, total_of, within
from parvis.domain.metering.records import UsageRecord
from parvis.domain.metering.totals import GroupBy, UsageTotal

AT_ONCE = 2_000
"""Rows that are in memory."""

TakeTotals = Callable[[Sequence[UsageTotal]], None]
TakeRecords = Callable[[Sequence[UsageRecord]], None]


class UsageExports(Room):
    """`ExportStore` on SQL."""

    async def export_usage(
        self,
        tenant_ids: tuple[str, ...] | None,
        group_by: tuple[GroupBy, ...],
        since_unix_ms: int | None,
        until_unix_ms: int | None,
        take: TakeTotals,
    ) -> None:
        """See the port."""
        await self.database.read_long(_usage, tenant_ids, group_by, since_unix_ms, until_unix_ms, take)

    async def export_requests(
        self,
        tenant_ids: tuple[str, ...] | None,
        since_unix_ms: int | None,
        until_unix_ms: int | None,
        take: TakeRecords,
    ) -> None:
        """See the port."""
        await self.database.read_long(_requests, tenant_ids, since_unix_ms, until_unix_ms, take)


def _usage(
    connection: Connection,
    tenant_ids: tuple[str, ...] | None,
    group_by: tuple[GroupBy, ...],
    since_unix_ms: int | None,
    until_unix_ms: int | None,
    take: TakeTotals,
) -> None:
    asked = grouped_usage(group_by, tenant_ids, since_unix_ms, until_unix_ms)
    for rows in connection.execution_options(yield_per=AT_ONCE).execute(asked).partitions():
        take([total_of(row, group_by) for row in rows])


def _requests(
    connection: Connection,
    tenant_ids: tuple[str, ...] | None,
    since_unix_ms: int | None,
    until_unix_ms: int | None,
    take: TakeRecords,
) -> None:
    conditions = within(usage.c.tenant_id, tenant_ids, usage.c.started_unix_ms, since_unix_ms, until_unix_ms)
    asked = select(usage).where(*conditions).order_by(usage.c.started_unix_ms, usage.c.request_id)
    for rows in connection.execution_options(yield_per=AT_ONCE).execute(asked).partitions():
        take([record_of(row) for row in rows])
