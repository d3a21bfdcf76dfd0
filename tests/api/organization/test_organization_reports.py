"""Usage, costs and the record: through the official client, and for whom."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from openai import APIStatusError, PermissionDeniedError

from parvis.core.money import Money
from parvis.domain.catalog.model import Capability
from parvis.domain.metering.records import Operation, UsageRecord
from parvis.testing.store_suite import lent

CHAT, EMBED = "smollm2-135m-instruct", "all-minilm-l6-v2"
DAY_S = 86_400
NOON_S = 20_000 * DAY_S + DAY_S // 2
TENANTS = ("acme-a", "acme-b", "rival-a")


def request_of(kit: Any, key: Any, number: int) -> UsageRecord:
    """Every second one embeds. One every eight hours, from a noon on."""
    made = kit.record(key, number)
    embeds = number % 2 == 0
    operation = Operation.EMBEDDING if embeds else Operation.CHAT
    started = made.started._replace(
        model_id=EMBED if embeds else CHAT,
        operation=operation,
        started_unix_ms=(NOON_S + number * DAY_S // 3) * 1000,
    )
    return UsageRecord(started, made.settled)


@pytest.fixture
async def used(town: Any, kit: Any) -> dict[str, list[UsageRecord]]:
    """Nine requests in each tenant, over four days."""
    booked = {}
    for tenant_id in TENANTS:
        booked[tenant_id] = [request_of(kit, town.keys[tenant_id], number) for number in range(9)]
        await lent(town.desk.store, tenant_id, f"run-{tenant_id}", Money.euro(1), f"grant-{tenant_id}")
        await town.desk.store.ingest(f"run-{tenant_id}", 9, booked[tenant_id])
    return booked


def span(**other: Any) -> dict[str, Any]:
    return {"start_time": 20_000 * DAY_S, "end_time": 20_004 * DAY_S, **other}


def results(page: Any) -> list[Any]:
    return [result for bucket in page.data for result in bucket.results]


async def test_usage_is_counted_in_days(town: Any, used: Any) -> None:
    usage = town.admin("developer").usage
    page = await usage.completions(**span())
    chats = [r for r in used["acme-a"] if r.started.operation is Operation.CHAT]
    assert [(bucket.start_time, bucket.end_time - bucket.start_time) for bucket in page.data] == [
        ((20_000 + day) * DAY_S, DAY_S) for day in range(4)
    ]
    found = results(page)
    assert sum(result.num_model_requests for result in found) == len(chats)
    assert sum(result.input_tokens for result in found) == sum(r.settled.tokens.prompt_total for r in chats)
    assert sum(result.input_cached_tokens for result in found) == sum(r.settled.tokens.cached for r in chats)
    assert sum(result.output_tokens for result in found) == sum(r.settled.tokens.completion_total for r in chats)
    embedded = results(await usage.embeddings(**span()))
    assert sum(result.num_model_requests for result in embedded) == 9 - len(chats)
    assert {result.object for result in embedded} == {"organization.usage.embeddings.result"}


@pytest.mark.parametrize("width", ["1m", "1h", "1d"])
async def test_every_width_counts_the_same(town: Any, used: Any, width: str) -> None:
    usage, found, page = town.admin("owner").usage, [], None
    while True:
        asked = span(bucket_width=width, group_by=["model", "project_id", "api_key_id", "user_id"])
        answer = await usage.completions(**asked, limit={"1d": 31, "1h": 168, "1m": 1440}[width], **(page or {}))
        found += results(answer)
        if not answer.has_more:
            break
        page = {"page": answer.next_page}
    assert sum(result.num_model_requests for result in found) == 2 * 4
    assert {(result.project_id, result.api_key_id, result.model, result.user_id) for result in found} == {
        (f"proj-{tenant_id}", town.keys[tenant_id].key.key_id, CHAT, None) for tenant_id in ("acme-a", "acme-b")
    }


async def test_a_model_for_both_is_counted_by_what_was_asked(town: Any, used: Any) -> None:
    """Roll-ups do not know it; then the requests themselves are read."""
    store = town.desk.store
    embedder = await store.model(EMBED)
    await store.put_model(replace(embedder, capabilities=(*embedder.capabilities, Capability.CHAT)))
    usage, counted = town.admin("developer").usage, []
    for report in (usage.completions, usage.embeddings):
        found = results(await report(**span(group_by=["model"])))
        counted.append({(result.model, result.num_model_requests) for result in found})
    assert {model for model, _ in counted[0]} == {CHAT}
    assert {model for model, _ in counted[1]} == {EMBED}


async def test_usage_is_narrowed(town: Any, used: Any) -> None:
    usage = town.admin("owner").usage
    for narrowed, requests in (
        ({"project_ids": ["proj-acme-b"]}, 4),
        ({"api_key_ids": [town.keys["acme-a"].key.key_id]}, 4),
        ({"models": [EMBED]}, 0),
        ({"models": [CHAT]}, 8),
        ({"user_ids": [town.users["developer"]]}, 0),
        ({"project_ids": ["proj-rival-a"]}, 0),
    ):
        found = results(await usage.completions(**span(), **narrowed))
        assert sum(result.num_model_requests for result in found) == requests, narrowed


async def test_pages_of_buckets_follow_one_another(town: Any, used: Any) -> None:
    usage = town.admin("owner").usage
    first = await usage.completions(**span(limit=3))
    assert (len(first.data), first.has_more) == (3, True)
    rest = await usage.completions(**span(limit=3, page=first.next_page))
    assert (len(rest.data), rest.has_more, rest.next_page) == (1, False, None)
    assert rest.data[0].start_time == first.data[-1].end_time
    for wrong in ("page_0", "page_x", "3", "page_99999999999", "page_" + "9" * 90):
        with pytest.raises(APIStatusError) as caught:
            await usage.completions(**span(page=wrong))
        assert (caught.value.status_code, caught.value.param) == (400, "page")


async def test_what_cannot_be_asked_is_refused_by_name(town: Any) -> None:
    usage = town.admin("owner").usage
    for asked, param in (
        ({"start_time": 5, "end_time": 5}, "end_time"),
        ({"start_time": -1}, "start_time"),
        (span(limit=32), "limit"),
        (span(limit=169, bucket_width="1h"), "limit"),
        (span(bucket_width="1w"), "bucket_width"),
        (span(group_by=["colour"]), "group_by[].0"),
        (span(extra_query={"tenant": "rival-a"}), "tenant"),
    ):
        with pytest.raises(APIStatusError) as caught:
            await usage.completions(**asked)
        assert (caught.value.status_code, caught.value.param) == (400, param), asked


async def test_what_is_not_done_here_is_empty(town: Any) -> None:
    usage = town.admin("owner").usage
    for kind in (
        usage.audio_speeches,
        usage.audio_transcriptions,
        usage.code_interpreter_sessions,
        usage.file_search_calls,
        usage.images,
        usage.moderations,
        usage.vector_stores,
        usage.web_search_calls,
    ):
        page = await kind(**span())
        assert (len(page.data), results(page)) == (4, [])


async def test_costs_are_exact(town: Any, used: Any) -> None:
    page = await town.admin("payer").usage.costs(**span(group_by=["project_id", "line_item"]))
    found = results(page)
    due = sum(record.settled.billed_pico_euro for tenant in ("acme-a", "acme-b") for record in used[tenant])
    assert sum(result.amount.pico_euro for result in found) == due
    for result in found:
        exact = Decimal(result.amount.pico_euro) / 10**12
        assert Decimal(result.amount.value_text) == exact
        assert result.amount.value == float(exact)
        assert result.amount.currency == "eur"
        assert (result.quantity_unit, result.line_item in {CHAT, EMBED}) == ("tokens", True)
    assert {result.project_id for result in found} == {"proj-acme-a", "proj-acme-b"}
    page = await town.admin("payer").usage.costs(**span(limit=180, line_items=[EMBED]))
    assert {(result.line_item, result.quantity, result.quantity_unit) for result in results(page)} == {
        (None, None, None)
    }


async def test_reports_end_at_ones_places(town: Any, used: Any) -> None:
    for who, requests in (("owner", 8), ("auditor", 8), ("payer", 8), ("boss", 4), ("sibling", 4), ("foreigner", 4)):
        found = results(await town.admin(who).usage.completions(**span()))
        assert sum(result.num_model_requests for result in found) == requests, who
    with pytest.raises(PermissionDeniedError, match=r"costs\.read"):
        await town.admin("developer").usage.costs(**span())


# ---------------------------------------------------------------------------------------------- the record


async def all_of(pages: Any) -> list[Any]:
    return [thing async for thing in pages]


async def test_the_record_says_who_did_what(town: Any) -> None:
    made = await town.admin("boss").projects.create(name="Chatbot")
    entries = await all_of(town.admin("auditor").audit_logs.list(event_types=["project.created"]))
    [entry] = [entry for entry in entries if entry.project_created.id == made.id]
    assert (entry.type, entry.result, entry.step) == ("project.created", "ok", "outcome")
    assert (entry.actor.type, entry.actor.session.user.id, entry.actor.session.user.email) == (
        "session",
        town.users["boss"],
        "boss@example.org",
    )
    assert abs(entry.effective_at - made.created_at) <= 5


async def test_a_refused_act_is_recorded_as_refused(town: Any) -> None:
    with pytest.raises(APIStatusError):
        await town.admin("owner").invites.create(email="x@example.org", role="owner")
    page = await town.admin("owner").audit_logs.list(event_types=["invite.sent"])
    assert [entry.result for entry in page.data] == ["step_up_required"]


async def test_the_record_ends_at_ones_places(town: Any) -> None:
    for who, project in (("boss", "proj-acme-a"), ("sibling", "proj-acme-b"), ("foreigner", "proj-rival-a")):
        await town.admin(who).projects.update(project, name=who)
    for who, seen in (("owner", {"boss", "sibling"}), ("boss", {"boss"}), ("foreigner", {"foreigner"})):
        entries = await all_of(town.admin(who).audit_logs.list(event_types=["project.updated"]))
        assert {entry.actor.session.user.id for entry in entries} == {town.users[one] for one in seen}
    await town.admin("boss").projects.create(name="Of a tenant that no path names")
    assert len((await town.admin("boss").audit_logs.list(event_types=["project.created"])).data) == 1
    assert (await town.admin("sibling").audit_logs.list(event_types=["project.created"])).data == []
    with pytest.raises(PermissionDeniedError, match=r"audit\.read"):
        await town.admin("developer").audit_logs.list()


async def test_the_record_is_narrowed_and_paged(town: Any) -> None:
    boss, owner = town.admin("boss"), town.admin("owner")
    for name in ("one", "two", "three"):
        await boss.projects.update("proj-acme-a", name=name)
    await owner.projects.update("proj-acme-b", name="four")
    logs = owner.audit_logs
    assert len(await all_of(logs.list(limit=1, event_types=["project.updated"]))) == 4
    assert len(await all_of(logs.list(actor_ids=[town.users["boss"]]))) == 3
    assert len(await all_of(logs.list(actor_emails=["Owner@example.org"]))) == 1
    assert await all_of(logs.list(actor_emails=["nobody@example.org"])) == []
    assert len(await all_of(logs.list(project_ids=["proj-acme-b"]))) == 1
    assert len(await all_of(logs.list(resource_ids=["proj-acme-a"], extra_query={"steps[]": "intent"}))) == 3
    page = await logs.list(event_types=["project.updated"])
    newest, oldest = page.data[0], page.data[-1]
    assert (await logs.list(before=oldest.id, limit=2)).data[-1].id == page.data[2].id
    assert (await logs.list(before=newest.id)).data == []
    at = newest.effective_at
    for range_, found in (({"gt": at}, 0), ({"gte": at - 60}, 4), ({"lt": at - 60}, 0), ({"lte": at}, 4)):
        entries = await all_of(logs.list(event_types=["project.updated"], effective_at=range_))
        assert len(entries) == found, range_
    with pytest.raises(APIStatusError) as caught:
        await logs.list(before=oldest.id, after=newest.id)
    assert (caught.value.status_code, caught.value.param) == (400, "before")
