"""What every store promises of usage over time, as functions that take an open, empty store."""

# ruff: noqa: D103 - a promise's name is its sentence, and a number in it is the expectation

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

from parvis.core.tokens import TokenCount
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.metering.buckets import Bucket, UsageQuestion, Width, bucket_start
from parvis.domain.metering.records import Operation, UsageRecord
from parvis.domain.metering.totals import DAY_MS
from parvis.flows.store import Store
from parvis.testing.store_suite import COST, NOON_UNIX_MS, SECRETS, TOKENS, settle_in, usage_record

STEP_MS = DAY_MS // 5 + 61_001
DAY_0 = 20_000 * DAY_MS
ALL = UsageQuestion(
    tenant_ids=("limited", "unlimited"), since_unix_ms=DAY_0, until_unix_ms=DAY_0 + 10 * DAY_MS, width=Width.DAY
)


async def _twenty_requests(store: Store) -> list[UsageRecord]:
    """Twenty requests, five a day: of two tenants, two models, three keys (one of them unknown), two operations."""
    await settle_in(store)
    await store.credit("limited", COST * 20, "order")
    owned = {"key0": ("limited", "project", "user"), "key1": ("unlimited", "", "user")}
    for key_id, (tenant_id, project_id, owner_id) in owned.items():
        await store.add_key(ApiKey(key_id, "org", tenant_id, key_id, SECRETS, project_id=project_id, owner_id=owner_id))
    some = [_request(n) for n in range(20)]
    for tenant_id in ("limited", "unlimited"):
        await store.grant_lease(tenant_id, "run", COST * 20, f"grant-{tenant_id}")
    await store.ingest("run", len(some), some)
    return some


def _request(number: int) -> UsageRecord:
    tenant_id = "unlimited" if number % 3 else "limited"
    record = usage_record(number, tenant_id, started_unix_ms=NOON_UNIX_MS + number * STEP_MS)
    operation = Operation.EMBEDDING if number % 4 == 0 else Operation.CHAT
    model_id = "vectors" if number % 4 == 0 else "model"
    return record._replace(started=record.started._replace(operation=operation, model_id=model_id))


def _counted(buckets: Iterable[Bucket]) -> list[tuple[int, tuple[str, ...], int]]:
    """What tells buckets apart; and that all the sums of each are those of its requests."""
    for total in (total for bucket in buckets for total in bucket.totals):
        assert total.tokens == TokenCount(*(count * total.requests for count in TOKENS))
        assert total.billed == COST * total.requests
    return [(bucket.start_unix_ms, total.group, total.requests) for bucket in buckets for total in bucket.totals]


async def buckets_of_every_width_agree_with_counting(store: Store) -> None:
    some = await _twenty_requests(store)
    for width in Width:
        starts = [bucket_start(record.started.started_unix_ms, width) for record in some]
        expected = [(start, (), starts.count(start)) for start in sorted(set(starts))]
        assert _counted(await store.usage_buckets(replace(ALL, width=width))) == expected


async def a_bucket_is_split_by_what_is_asked(store: Store) -> None:
    await _twenty_requests(store)
    [first, *_] = await store.usage_buckets(replace(ALL, split_by=("key", "project", "user")))
    assert [(total.group, total.requests) for total in first.totals] == [
        (("key0", "project", "user"), 1),
        (("key1", "", "user"), 1),
        (("key2", "", ""), 1),
    ]
    [first, *_] = await store.usage_buckets(replace(ALL, split_by=("model",), width=Width.HOUR))
    assert [total.group for total in first.totals] == [("vectors",)]


async def buckets_are_narrowed_to_what_is_asked(store: Store) -> None:
    some = await _twenty_requests(store)
    of_key0 = [record for record in some if record.started.key_id == "key0"]
    chats = [record for record in some if record.started.operation is Operation.CHAT]
    in_limited = [record for record in some if record.started.tenant_id == "limited"]
    for narrowed, expected in (
        (replace(ALL, key_ids=("key0",)), len(of_key0)),
        (replace(ALL, project_ids=("project",)), len(of_key0)),
        (replace(ALL, user_ids=("user",)), len([r for r in some if r.started.key_id in {"key0", "key1"}])),
        (replace(ALL, model_ids=("model",)), len(chats)),
        (replace(ALL, operations=(Operation.CHAT, Operation.COMPLETION)), len(chats)),
        (replace(ALL, tenant_ids=("limited",)), len(in_limited)),
        (replace(ALL, tenant_ids=()), 0),
        (replace(ALL, key_ids=()), 0),
        (replace(ALL, until_unix_ms=DAY_0 + DAY_MS), 3),
        (replace(ALL, since_unix_ms=DAY_0 + DAY_MS), len(some) - 3),
    ):
        assert sum(count for _, _, count in _counted(await store.usage_buckets(narrowed))) == expected
        hours = _counted(await store.usage_buckets(replace(narrowed, width=Width.HOUR)))
        assert sum(count for _, _, count in hours) == expected


async def the_sums_over_buckets_are_the_report(store: Store) -> None:
    await _twenty_requests(store)
    [report] = await store.usage(None)
    for width in Width:
        assert sum(count for _, _, count in _counted(await store.usage_buckets(replace(ALL, width=width)))) == (
            report.requests
        )
    assert await store.check() == []


PROMISES: tuple[Callable[[Store], Awaitable[None]], ...] = (
    buckets_of_every_width_agree_with_counting,
    a_bucket_is_split_by_what_is_asked,
    buckets_are_narrowed_to_what_is_asked,
    the_sums_over_buckets_are_the_report,
)
