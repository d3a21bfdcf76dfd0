"""What every store promises of usage over time, as functions that take an open, empty store."""

# ruff: noqa: D103 - a promise's name is its sentence, and a number in it is the expectation

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

from parvis.core.tokens import TokenCount
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.metering.buckets import Bucket, UsageQuestion, Width, bucket_start
from parvis.domain.metering.comparison import Booked
from parvis.domain.metering.records import Operation, Outcome, UsageRecord
from parvis.domain.metering.totals import DAY_MS, UsageTotal
from parvis.flows.store import Store
from parvis.testing.store_suite import COST, NOON_UNIX_MS, SECRETS, TOKENS, lent, settle_in, usage_record

STEP_MS = DAY_MS // 5 + 61_001
DAY_0 = 20_000 * DAY_MS
ALL = UsageQuestion(
    tenant_ids=("limited", "unlimited"), since_unix_ms=DAY_0, until_unix_ms=DAY_0 + 10 * DAY_MS, width=Width.DAY
)


async def twenty_requests(store: Store) -> list[UsageRecord]:
    """Twenty requests, five a day: of two tenants, two models, three keys (one of them unknown), two operations."""
    await settle_in(store)
    await store.credit("limited", COST * 20, "order")
    owned = {"key0": ("limited", "project", "user"), "key1": ("unlimited", "", "user")}
    for key_id, (tenant_id, project_id, owner_id) in owned.items():
        await store.add_key(ApiKey(key_id, "org", tenant_id, key_id, SECRETS, project_id=project_id, owner_id=owner_id))
    some = [_request(n) for n in range(20)]
    for tenant_id in ("limited", "unlimited"):
        await lent(store, tenant_id, "run", COST * 20, f"grant-{tenant_id}")
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
    some = await twenty_requests(store)
    for width in Width:
        starts = [bucket_start(record.started.started_unix_ms, width) for record in some]
        expected = [(start, (), starts.count(start)) for start in sorted(set(starts))]
        assert _counted(await store.usage_buckets(replace(ALL, width=width))) == expected


async def a_bucket_is_split_by_what_is_asked(store: Store) -> None:
    await twenty_requests(store)
    [first, *_] = await store.usage_buckets(replace(ALL, split_by=("key", "project", "user")))
    assert [(total.group, total.requests) for total in first.totals] == [
        (("key0", "project", "user"), 1),
        (("key1", "", "user"), 1),
        (("key2", "", ""), 1),
    ]
    [first, *_] = await store.usage_buckets(replace(ALL, split_by=("model",), width=Width.HOUR))
    assert [total.group for total in first.totals] == [("vectors",)]


async def buckets_are_narrowed_to_what_is_asked(store: Store) -> None:
    some = await twenty_requests(store)
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
    await twenty_requests(store)
    [report] = await store.usage(None)
    for width in Width:
        assert sum(count for _, _, count in _counted(await store.usage_buckets(replace(ALL, width=width)))) == (
            report.requests
        )
    assert await store.check() == []


async def what_a_replica_computed_is_summed(store: Store) -> None:
    some = await twenty_requests(store)
    cut = usage_record(99, "unlimited", started_unix_ms=NOON_UNIX_MS)
    ended = cut.settled._replace(outcome=Outcome.CLIENT_LEFT, billed_pico_euro=0, tokens=TokenCount())
    elsewhere = cut._replace(settled=ended, started=cut.started._replace(replica_id="other"))
    await store.ingest("run", len(some) + 1, [elsewhere])
    whole = TokenCount(*(count * 20 for count in TOKENS))
    assert await store.booked_on("replica", NOON_UNIX_MS) == Booked(20, whole, 10, 0)
    late = await store.booked_on("replica", NOON_UNIX_MS + 5 * STEP_MS)
    assert late == late._replace(requests=len(some) - 5)
    assert await store.booked_on("other", NOON_UNIX_MS) == Booked(1, TokenCount(), 1, 1)
    assert await store.booked_on("nobody", 0) == Booked(0, TokenCount(), 0, 0)


async def a_report_between_any_instants_counts_its_requests(store: Store) -> None:
    some = await twenty_requests(store)
    starts = [record.started.started_unix_ms for record in some]
    instants = [None, *starts[::4], *(start + 1 for start in starts[1::6]), *(DAY_0 + n * DAY_MS for n in range(4))]
    for since in instants:
        for until in instants:
            [total] = await store.usage(None, (), since, until)
            expected = [at for at in starts if (since is None or at >= since) and (until is None or at < until)]
            assert (total.requests, total.billed) == (len(expected), COST * len(expected)), (since, until)
            assert total.tokens == TokenCount(*(count * len(expected) for count in TOKENS))
            by_key = Counter(f"key{number % 3}" for number, at in enumerate(starts) if at in expected)
            groups = await store.usage(None, ("key",), since, until)
            assert {total.group[0]: total.requests for total in groups} == by_key


async def a_report_is_split_by_what_keys_belong_to(store: Store) -> None:
    await twenty_requests(store)
    by_project = {total.group: total.requests for total in await store.usage(None, ("project", "user"))}
    by_key = {total.group[0]: total.requests for total in await store.usage(None, ("key",))}
    assert by_project == {
        ("", ""): by_key["key2"],
        ("", "user"): by_key["key1"],
        ("project", "user"): by_key["key0"],
    }
    assert [total.group for total in await store.usage(None, ("key",), limit=2)] == [("key0",), ("key1",)]


async def an_export_is_the_report_and_the_requests(store: Store) -> None:
    some = await twenty_requests(store)
    groups: list[UsageTotal] = []
    records: list[UsageRecord] = []
    await store.export_usage(None, ("key", "day"), None, None, groups.extend)
    await store.export_requests(None, None, None, records.extend)
    assert groups == await store.usage(None, ("key", "day"))
    assert records == sorted(some, key=lambda record: record.started.started_unix_ms)
    for tenant_ids in ((), ("limited",), ("limited", "unlimited")):
        groups.clear()
        records.clear()
        await store.export_usage(tenant_ids, ("tenant",), DAY_0, None, groups.extend)
        await store.export_requests(tenant_ids, DAY_0, None, records.extend)
        expected = [record for record in some if record.started.tenant_id in tenant_ids]
        assert sum(total.requests for total in groups) == len(records) == len(expected)


PROMISES: tuple[Callable[[Store], Awaitable[None]], ...] = (
    what_a_replica_computed_is_summed,
    buckets_of_every_width_agree_with_counting,
    a_bucket_is_split_by_what_is_asked,
    buckets_are_narrowed_to_what_is_asked,
    the_sums_over_buckets_are_the_report,
    a_report_between_any_instants_counts_its_requests,
    a_report_is_split_by_what_keys_belong_to,
    an_export_is_the_report_and_the_requests,
)
