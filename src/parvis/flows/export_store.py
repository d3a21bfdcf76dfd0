"""Usage and requests, read to the end, whatever their number. Suite: `parvis.testing.usage_suite`."""

from collections.abc import Callable, Sequence
from typing import Protocol

from parvis.domain.metering.records import UsageRecord
from parvis.domain.metering.totals import GroupBy, UsageTotal

TakeTotals = Callable[[Sequence[UsageTotal]], None]
TakeRecords = Callable[[Sequence[UsageRecord]], None]


class ExportStore(Protocol):
    """Each reads one snapshot, and hands over some rows at a time: memory does not grow with their number.

    What is handed to is called in another thread. One export runs at a time; others wait for their turn.
    """

    async def export_usage(
        self,
        tenant_ids: tuple[str, ...] | None,
        group_by: tuple[GroupBy, ...],
        since_unix_ms: int | None,
        until_unix_ms: int | None,
        take: TakeTotals,
    ) -> None:
        """The groups of a report over these tenants or all, sorted. Tags are none of the store's."""

    async def export_requests(
        self,
        tenant_ids: tuple[str, ...] | None,
        since_unix_ms: int | None,
        until_unix_ms: int | None,
        take: TakeRecords,
    ) -> None:
        """The requests started in [since, until), oldest first."""
