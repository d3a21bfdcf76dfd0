"""Usage as it is read: by whom, and how far."""

from dataclasses import dataclass
from typing import Protocol

from parvis.core.errors import BadRequest, NotFound
from parvis.domain.metering.records import UsageRecord
from parvis.domain.metering.totals import GroupBy, UsageTotal, add_up, by_tags
from parvis.flows.store import IdentityStore, UsageStore

GROUPS_MAX = 10_000
"""Beyond it a report is no page any more. Exports have no bound."""
KEYS_AT_ONCE = 1_000


class UsageBooks(UsageStore, IdentityStore, Protocol):
    """The ports that a report needs, of one store."""


@dataclass(frozen=True, slots=True)
class UsageReport:
    """The groups, sorted, and the sum over all requests, each counted once."""

    groups: list[UsageTotal]
    total: UsageTotal


async def one_request(store: UsageStore, request_id: str, tenant_id: str | None) -> UsageRecord:
    """One request, of this tenant or (None) of any. What another tenant asked does not exist. Raises NotFound."""
    record = await store.request(request_id)
    if record is None or tenant_id not in (None, record.started.tenant_id):
        raise NotFound(f"There is no request '{request_id[:100]}'.")
    return record


async def usage_report(
    store: UsageBooks,
    tenant_id: str | None,
    group_by: tuple[GroupBy, ...],
    since_unix_ms: int | None,
    until_unix_ms: int | None,
) -> UsageReport:
    """Usage of one tenant or of all, split. Raises BadRequest when that makes too many groups for a page."""
    span = since_unix_ms, until_unix_ms
    if "tag" not in group_by:
        groups = await _groups(store, tenant_id, group_by, *span)
        return UsageReport(groups, add_up(groups))
    asked, key_at, keep_key = split_without_tags(group_by)
    groups = await _groups(store, tenant_id, asked, *span)
    tags = await tags_of_keys(store, None if tenant_id is None else (tenant_id,))
    return UsageReport(by_tags(groups, key_at, tags, keep_key=keep_key), add_up(groups))


def split_without_tags(group_by: tuple[GroupBy, ...]) -> tuple[tuple[GroupBy, ...], int, bool]:
    """What the store is asked for in the place of tags: keys; where they stand in a group, and whether they stay."""
    keep_key = "key" in group_by
    asked = tuple(name for name in group_by if name != "key")
    by_key: tuple[GroupBy, ...] = tuple("key" if name == "tag" else name for name in asked)
    return by_key, by_key.index("key"), keep_key


async def tags_of_keys(store: IdentityStore, tenant_ids: tuple[str, ...] | None) -> dict[str, tuple[str, ...]]:
    """Of those keys that have any."""
    tags: dict[str, tuple[str, ...]] = {}
    after: str | None = None
    while keys := await store.keys_page(tenant_ids, after, KEYS_AT_ONCE):
        tags |= {key.key_id: key.tags for key in keys if key.tags}
        after = keys[-1].key_id
    return tags


async def _groups(
    store: UsageStore,
    tenant_id: str | None,
    group_by: tuple[GroupBy, ...],
    since_unix_ms: int | None,
    until_unix_ms: int | None,
) -> list[UsageTotal]:
    groups = await store.usage(tenant_id, group_by, since_unix_ms, until_unix_ms, GROUPS_MAX + 1)
    if len(groups) > GROUPS_MAX:
        raise BadRequest(
            f"This report has more than {GROUPS_MAX} groups. Narrow its span, split it by less, or export it.",
            param="group_by",
        )
    return groups
