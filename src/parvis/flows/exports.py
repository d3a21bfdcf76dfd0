"""Usage and requests as files of lines, of whatever length, on one snapshot of the books."""

from collections.abc import Sequence
from typing import Protocol

from parvis.domain.metering.export import Line, request_line, usage_line
from parvis.domain.metering.totals import GroupBy, UsageTotal, add_up, by_tags
from parvis.flows.export_store import ExportStore
from parvis.flows.store import IdentityStore
from parvis.flows.usage import split_without_tags, tags_of_keys


class Lines(Protocol):
    """Where lines go. Called in another thread, one call at a time."""

    def write(self, lines: Sequence[Line]) -> None:
        """Append some."""


class Books(ExportStore, IdentityStore, Protocol):
    """The ports that these stories need, of one store."""


async def export_usage(
    store: Books,
    tenant_ids: tuple[str, ...] | None,
    group_by: tuple[GroupBy, ...],
    since_unix_ms: int | None,
    until_unix_ms: int | None,
    into: Lines,
) -> None:
    """A usage report, every group of it. What is split by tags is added up first: its groups are in memory."""
    span = since_unix_ms, until_unix_ms
    if "tag" not in group_by:
        await store.export_usage(
            tenant_ids, group_by, *span, lambda some: into.write([usage_line(one) for one in some])
        )
        return
    asked, key_at, keep_key = split_without_tags(group_by)
    tags = await tags_of_keys(store, tenant_ids)
    sums: dict[tuple[str, ...], UsageTotal] = {}

    def take(some: Sequence[UsageTotal]) -> None:
        for total in by_tags(some, key_at, tags, keep_key=keep_key):
            before = sums.get(total.group)
            sums[total.group] = total if before is None else add_up((before, total), total.group)

    await store.export_usage(tenant_ids, asked, *span, take)
    into.write([usage_line(sums[group]) for group in sorted(sums)])


async def export_requests(
    store: ExportStore,
    tenant_ids: tuple[str, ...] | None,
    since_unix_ms: int | None,
    until_unix_ms: int | None,
    into: Lines,
) -> None:
    """Every request of a span, oldest first."""
    await store.export_requests(
        tenant_ids, since_unix_ms, until_unix_ms, lambda some: into.write([request_line(one) for one in some])
    )
