"""Keys by HTTP: a key about itself, one in the wrong hands, what operators do with keys, notices at both doors."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from parvis.api.console import app as console
from parvis.api.console import keys as console_keys
from parvis.api.operator import app as operator
from parvis.domain.identity.notice import Notice, NoticeKind
from parvis.domain.identity.place import Target
from parvis.domain.identity.role import Role
from parvis.domain.identity.rotation import DAY_MS, Schedule
from parvis.flows.keys import KeyTerms, NewKey, create_key, key_named, tenant_named
from parvis.flows.personal_tokens import make_token
from parvis.flows.reports import ADDRESS_BURST
from parvis.flows.rotation import start_rotation

Json = dict[str, Any]


@pytest.fixture
async def client(premises: Any, kit: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with kit.client_of(console.make_app(premises.console_desk()), premises.first.text.reveal()) as client:
        yield client


@pytest.fixture
async def operators(premises: Any, kit: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with kit.client_of(operator.make_app(premises.operator_desk()), kit.token) as client:
        yield client


@pytest.fixture
async def scheduled(premises: Any) -> NewKey:
    desk = premises.console_desk()
    terms = KeyTerms(schedule=Schedule())
    return await create_key(desk.store, desk.mint, await tenant_named(desk.store, "first"), "app", terms=terms)


def bearer(key: NewKey | str) -> dict[str, str]:
    return {"authorization": f"Bearer {key if isinstance(key, str) else key.text.reveal()}"}


async def sync(client: httpx.AsyncClient, key: NewKey | str, **said: Any) -> Json:
    response = await client.post("/v1/keys/sync", json=said, headers=bearer(key))
    assert response.status_code == 200, response.text
    return dict(response.json())


# -------------------------------------------------------------------------------------------------------- sync


async def test_a_key_that_is_not_due_gets_its_state_and_nothing_else(
    client: httpx.AsyncClient, scheduled: NewKey
) -> None:
    state = (await client.get("/v1/keys/sync", headers=bearer(scheduled))).json()
    assert (state["phase"], state["key"], state["next_wanted"]) == ("current", None, False)
    assert state["due_at"] < state["ends_at"]
    assert [secret["presented"] for secret in state["secrets"]] == [True]
    again = await sync(client, scheduled)
    assert (again["key"], again["secrets"][0]["last_used_at"]) == (None, state["secrets"][0]["last_used_at"])
    bodiless = await client.post("/v1/keys/sync", headers=bearer(scheduled))
    assert bodiless.json()["key"] is None


async def test_a_key_that_is_due_gets_its_next_secret_once(
    client: httpx.AsyncClient, premises: Any, scheduled: NewKey
) -> None:
    await start_rotation(premises.store, premises.clock, scheduled.key.key_id)
    assert (await client.get("/v1/keys/sync", headers=bearer(scheduled))).json()["next_wanted"]
    answer = await sync(client, scheduled)
    assert (answer["phase"], len(answer["secrets"]), answer["next_wanted"]) == ("overlap", 2, False)
    state = await sync(client, answer["key"])
    assert (state["phase"], state["key"]) == ("overlap", None)
    assert [secret["presented"] for secret in state["secrets"]] == [True, False]
    late = await sync(client, scheduled)
    assert (late["key"], late["next_wanted"]) == (None, False), "the next one was used: it has arrived"


async def test_an_answer_that_was_lost_is_given_anew(client: httpx.AsyncClient, scheduled: NewKey) -> None:
    lost = await sync(client, scheduled, rotate=True)
    found = await sync(client, scheduled)
    assert found["key"] not in (None, lost["key"])
    assert (await client.get("/v1/keys/sync", headers=bearer(lost["key"]))).status_code == 401
    assert (await sync(client, found["key"]))["phase"] == "overlap"


async def test_a_third_secret_is_refused_by_name(client: httpx.AsyncClient, scheduled: NewKey) -> None:
    second = await sync(client, scheduled, rotate=True)
    await sync(client, second["key"])
    for by, code in ((second["key"], "rotation_under_way"), (scheduled, "secret_followed")):
        response = await client.post("/v1/keys/sync", json={"rotate": True}, headers=bearer(by))
        assert (response.status_code, response.json()["error"]["code"]) == (409, code)


async def test_only_a_key_syncs_itself(client: httpx.AsyncClient, kit: Any) -> None:
    for credential in ("", "Bearer x", f"Bearer {kit.token}"):
        for call in (client.get, client.post):
            assert (await call("/v1/keys/sync", headers={"authorization": credential})).status_code == 401
    assert (await client.post("/v1/keys/sync", json={"key_id": "another"})).status_code == 400


async def test_a_rotation_is_in_the_record_without_its_secret(
    client: httpx.AsyncClient, operators: httpx.AsyncClient, scheduled: NewKey
) -> None:
    answer = await sync(client, scheduled, rotate=True)
    lines = (await operators.get("/v1/audit_logs")).text
    assert "api_key.synced" in lines
    assert scheduled.key.key_id in lines
    assert answer["key"].split("_")[2] not in lines


async def test_a_key_syncs_to_the_end_of_its_life(client: httpx.AsyncClient, premises: Any, scheduled: NewKey) -> None:
    premises.clock.ahead_ms = 95 * DAY_MS
    due = await sync(client, scheduled)
    assert due["key"]
    premises.clock.ahead_ms += 8 * DAY_MS
    assert (await client.get("/v1/keys/sync", headers=bearer(scheduled))).status_code == 401
    assert (await sync(client, due["key"]))["phase"] == "current"


# ------------------------------------------------------------------------------------------------------ report


@pytest.fixture
def fast_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_keys, "REPORT_S", 0.0)


async def report(client: httpx.AsyncClient, text: str) -> httpx.Response:
    return await client.post("/v1/keys/report", json={"key": text}, headers={"authorization": ""})


async def test_a_reported_key_works_no_more_and_the_answer_tells_nothing(
    client: httpx.AsyncClient, premises: Any, scheduled: NewKey
) -> None:
    text = scheduled.text.reveal()
    answers = [await report(client, said) for said in ("", "x", text[:-1], text, text, premises.other.text.reveal())]
    assert {(answer.status_code, answer.text) for answer in answers} == {(202, '{"object":"report","received":true}')}
    assert all(answer.elapsed.total_seconds() >= console_keys.REPORT_S for answer in answers)
    assert (await client.get("/v1/me", headers=bearer(scheduled))).status_code == 401
    assert not (await key_named(premises.store, scheduled.key.key_id)).active
    assert not (await key_named(premises.store, premises.other.key.key_id)).active
    assert {notice.kind for notice in await premises.store.notices_page(None, None, 10)} == {"key_reported"}


@pytest.mark.usefixtures("fast_reports")
async def test_reports_of_one_address_are_bounded_before_anything_is_written(
    client: httpx.AsyncClient, operators: httpx.AsyncClient
) -> None:
    answers = await asyncio.gather(*(report(client, "x") for _ in range(ADDRESS_BURST + 5)))
    assert sorted(answer.status_code for answer in answers) == [202] * ADDRESS_BURST + [429] * 5
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["error"]["code"] == "too_many_reports"
    assert int(refused.headers["retry-after"]) > 0
    lines = (await operators.get("/v1/audit_logs", params={"limit": 100})).text
    assert lines.count("api_key.reported") == 2 * ADDRESS_BURST, "an intent and an outcome each"


@pytest.mark.parametrize("body", [{}, {"key": 5}, {"key": "x" * 501}, {"key": "x", "why": "found"}])
async def test_a_report_is_a_key_and_nothing_else(client: httpx.AsyncClient, body: Json) -> None:
    assert (await client.post("/v1/keys/report", json=body)).status_code == 400


# --------------------------------------------------------------------------------------------------- operators


async def test_an_operator_makes_changes_and_ends_a_key_with_all_its_terms(
    operators: httpx.AsyncClient, premises: Any
) -> None:
    form = {
        "name": "app",
        "tenant_id": "first",
        "models": ["smollm2*"],
        "models_denied": ["*-mini"],
        "endpoints": ["chat"],
        "addresses": ["192.0.2.0/24"],
        "ends_at": "2099-01-01",
        "schedule": {"every_s": 600, "overlap_s": 60, "notice_s": 60, "grace_s": 60},
        "tags": ["a"],
    }
    answer = await operators.post("/v1/keys", json=form)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["key"].startswith(f"sk-parvis_{made['id']}_")
    assert {name: made[name] for name in form if name != "ends_at"} == {n: v for n, v in form.items() if n != "ends_at"}
    path = f"/v1/keys/{made['id']}"
    changed = (await operators.patch(path, json={"name": "renamed", "tags": []})).json()
    assert (changed["name"], changed["tags"], changed["models"]) == ("renamed", [], ["smollm2*"])
    assert changed["schedule"] == form["schedule"]
    pushed = (await operators.post(f"{path}/rotation", json={"act": "start"})).json()
    assert pushed["rotation"]["phase"] == "due"
    assert "key" not in pushed
    extended = await operators.post(f"{path}/rotation", json={"act": "extend", "ends_at": "2027-06-01"})
    assert extended.json()["rotation"]["ends_at"] == "2027-06-01T00:00:00.000Z"
    for wrong, status in (({"act": "end_old"}, 409), ({"act": "extend"}, 400), ({"act": "start", "ends_at": "2"}, 400)):
        assert (await operators.post(f"{path}/rotation", json=wrong)).status_code == status
    assert (await operators.get(path)).json() == extended.json()
    assert len(premises.announced) == 4
    await operators.delete(path)
    assert (await operators.get(path)).json()["rotation"]["phase"] is None
    assert (await operators.get("/v1/keys/nothing")).status_code == 404


async def test_keys_are_listed_by_page_and_tenant(operators: httpx.AsyncClient, premises: Any) -> None:
    ids = sorted(key.key.key_id for key in (premises.first, premises.other))
    first = (await operators.get("/v1/keys", params={"limit": 1})).json()
    rest = (await operators.get("/v1/keys", params={"after": first["next"]})).json()
    assert [[key["id"] for key in page["data"]] for page in (first, rest)] == [[ids[0]], [ids[1]]]
    assert rest["next"] is None
    one = (await operators.get("/v1/keys", params={"tenant": "other"})).json()
    assert [key["id"] for key in one["data"]] == [premises.other.key.key_id]


# ----------------------------------------------------------------------------------------------------- notices


@pytest.fixture
async def told(premises: Any) -> list[str]:
    """One notice of each of two tenants."""
    ids = []
    for number, key in enumerate((premises.first.key, premises.other.key)):
        kind, now = NoticeKind.ROTATION_DUE, 1_784_000_000_000 + number
        ids.append(f"ntc_{number}")
        notice = Notice(ids[-1], kind, key.organisation_id, key.tenant_id, key.key_id, key.name, now, now, now, now)
        await premises.store.tell(key.key_id, [notice], now)
    return ids


async def test_who_reads_notices_sees_those_of_their_tenants(
    client: httpx.AsyncClient, operators: httpx.AsyncClient, premises: Any, told: list[str]
) -> None:
    desk = premises.console_desk()
    person = await premises.person("dev@example.eu", (Role.DEVELOPER, Target("first", "other")))
    token = await make_token(desk.store, desk.mint, person, "t", desk.clock.unix_ms() + DAY_MS)
    theirs = (await client.get("/v1/notices", headers=bearer(token.text.reveal()))).json()
    assert [notice["id"] for notice in theirs["data"]] == [told[1]]
    every = (await operators.get("/v1/notices", params={"limit": 1})).json()
    assert ([notice["id"] for notice in every["data"]], every["next"]) == ([told[1]], told[1])
    older = (await operators.get("/v1/notices", params={"after": told[1]})).json()
    assert [notice["id"] for notice in older["data"]] == [told[0]]
    assert (await client.get("/v1/notices")).status_code == 403, "a key is no person"


async def test_where_notices_go_is_for_owners_and_stays_in_their_tenant(
    client: httpx.AsyncClient, operators: httpx.AsyncClient, premises: Any
) -> None:
    desk = premises.console_desk()
    owner = await premises.person("owner@example.eu", (Role.TENANT_OWNER, Target("first", "other")))
    token = await make_token(desk.store, desk.mint, owner, "t", desk.clock.unix_ms() + DAY_MS)
    as_owner = bearer(token.text.reveal())
    form = {"kind": "webhook", "address": "https://hooks.example.eu/", "tenant_id": "other"}
    away = await client.post("/v1/notice-targets", json=form, headers=as_owner)
    assert (away.status_code, "cannot be sent" in away.text) == (503, True)
    foreign = await client.post("/v1/notice-targets", json={**form, "tenant_id": "first"}, headers=as_owner)
    assert foreign.status_code == 404
    assert (await client.get("/v1/notice-targets", headers=as_owner)).json()["data"] == []
    for path in ("ntt_nothing", "x"):
        assert (await client.delete(f"/v1/notice-targets/{path}", headers=as_owner)).status_code == 404
        assert (await operators.delete(f"/v1/notice-targets/{path}")).status_code == 404
