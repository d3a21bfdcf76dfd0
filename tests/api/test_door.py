"""The door of both administration listeners, before a few routes of a house that has none else."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from parvis.api.web.door import Door
from parvis.api.web.routes import Route, TheTarget
from parvis.domain.audit.entry import Step
from parvis.domain.identity.permission import Permission as May
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.domain.identity.principal import Kind, Right, operator
from parvis.domain.identity.session import MUST_ENROL, PROVEN_MS_MAX, SECOND_FACTOR
from parvis.testing.small_house import (
    HOME,
    NOW_UNIX_MS,
    SECRET,
    THEIRS,
    House,
    Json,
    bug,
    caller_of,
    conflict,
    refused,
    small_house,
    somebody,
)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with small_house(tmp_path) as made:
        yield made


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with caller_of(house) as caller:
        yield caller


# ------------------------------------------------------------------------------------------- credential and place


async def test_without_a_credential_nobody_comes_in(house: House, client: httpx.AsyncClient) -> None:
    for path in ("/places", "/places/home", "/places/nowhere"):
        refused(await client.get(path), 401, "invalid_api_key")


async def test_what_is_elsewhere_does_not_exist(house: House, client: httpx.AsyncClient) -> None:
    house.who = somebody(May.TENANTS_READ, May.TENANTS_WRITE)
    assert (await client.get("/places/home")).json() == {"place": ["org", "home"]}
    said = {refused(await client.get(f"/places/{name}"), 404, "not_found") for name in ("hers", "theirs", "nowhere")}
    assert len(said) == 1
    refused(await client.post("/places/theirs", json={"name": "x"}), 404, "not_found")
    assert house.done == []


async def test_what_is_seen_and_not_allowed_is_refused_by_name(house: House, client: httpx.AsyncClient) -> None:
    house.who = somebody(May.TENANTS_READ, place=Target("org"))
    for name in ("home", "hers"):
        message = refused(await client.post(f"/places/{name}", json={"name": "x"}), 403, "permission_denied")
        assert "'tenants.write'" in message
    refused(await client.post("/places/theirs", json={"name": "x"}), 404, "not_found")
    assert (house.done, await house.lines()) == ([], [])


async def test_a_right_elsewhere_is_none_here(house: House, client: httpx.AsyncClient) -> None:
    here, there = Right(frozenset({May.TENANTS_READ}), HOME), Right(frozenset({May.TENANTS_WRITE}), THEIRS)
    house.who = replace(somebody(), rights=(here, there))
    refused(await client.post("/places/home", json={"name": "x"}), 403, "permission_denied")
    assert (await client.post("/places/theirs", json={"name": "x"})).status_code == 201


async def test_a_list_shows_what_the_permission_reaches(house: House, client: httpx.AsyncClient) -> None:
    house.who = somebody(May.TENANTS_READ)
    assert (await client.get("/places")).json() == {"places": [["org", "home"]]}
    house.who = somebody(May.TENANTS_WRITE)
    assert "'tenants.read'" in refused(await client.get("/places"), 403, "permission_denied")


async def test_a_target_that_was_not_declared_cannot_be_asked_for(house: House) -> None:
    async def show(target: TheTarget) -> Json:
        return {"place": target}

    house.who = somebody(May.TENANTS_READ)
    door = Door("a house", [Route("GET", "/x", show, May.TENANTS_READ)], house)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://localhost") as client:
        with pytest.raises(LookupError, match="/x declares no target"):
            await client.get("/x")


# --------------------------------------------------------------------------- pages, restrictions and fresh proofs


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"content-type": "application/json"}, "origin_missing"),
        ({"content-type": "application/json", "origin": "http://evil.example"}, "origin_not_allowed"),
        ({"content-type": "application/json", "origin": "null"}, "origin_not_allowed"),
        ({"content-type": "text/plain", "origin": "http://localhost"}, "json_required"),
        ({"origin": "http://localhost"}, "json_required"),
        ({"content-type": "Application/JSON; charset=utf-8", "origin": "http://localhost"}, ""),
    ],
)
async def test_a_cookie_works_from_our_own_page_alone(
    house: House, client: httpx.AsyncClient, headers: dict[str, str], code: str
) -> None:
    house.who = somebody(May.TENANTS_READ, May.TENANTS_WRITE, by_cookie=True)
    answer = await client.post("/places/home", content=b'{"name": "x"}', headers=headers)
    assert (answer.json().get("error", {}).get("code", ""), house.done) == (code, [] if code else ["x"])
    assert (await client.get("/places/home")).status_code == 200


@pytest.mark.parametrize(
    ("tag", "session", "factors"),
    [("", 200, 200), (MUST_ENROL, 200, 200), (SECOND_FACTOR, 200, 403), ("unheard_of", 403, 403)],
)
async def test_a_session_that_is_not_complete_opens_little(
    house: House, client: httpx.AsyncClient, tag: str, session: int, factors: int
) -> None:
    tags = frozenset({tag} - {""})
    house.who = somebody(May.TENANTS_READ, May.OWN_SESSION, May.OWN_FACTORS_WRITE, tags=tags)
    got = [(await client.get(path)).status_code for path in ("/session", "/factors", "/places", "/places/home")]
    rest = 403 if tag else 200
    assert got == [session, factors, rest, rest]
    if tag:
        assert tag in refused(await client.get("/places"), 403, "sign_in_incomplete")


async def test_dangerous_acts_need_a_fresh_proof(house: House, client: httpx.AsyncClient) -> None:
    for age_ms, allowed in ((0, True), (PROVEN_MS_MAX, True), (PROVEN_MS_MAX + 1, False), (NOW_UNIX_MS, False)):
        house.who = somebody(May.TENANTS_WRITE, proven_unix_ms=NOW_UNIX_MS - age_ms)
        answer = await client.delete("/places/home")
        if allowed:
            assert answer.status_code == 200
        else:
            assert "10 minutes" in refused(answer, 403, "step_up_required")
    assert house.done == ["removed"] * 2


async def test_the_operators_token_is_nobodys_and_needs_none(house: House, client: httpx.AsyncClient) -> None:
    house.who = operator()
    assert (await client.delete("/places/home")).status_code == 200
    house.who = replace(operator(), kind=Kind.OPERATOR)
    refused(await client.delete("/places/home"), 403, "step_up_required")


# ------------------------------------------------------------------------------------------------------ the record


async def test_an_act_has_a_line_before_and_a_line_after(house: House, client: httpx.AsyncClient) -> None:
    house.who = somebody(May.TENANTS_WRITE)
    at_work = []

    async def look() -> None:
        at_work.extend(await house.told())

    house.during = look
    answer = await client.post("/places/home", json={"colour": SECRET, "name": SECRET})
    assert at_work == [("intent", "thing.created", "")]
    intent, outcome = await house.lines()
    assert (intent.step, intent.actor_kind, intent.actor, intent.address) == (
        "intent",
        "user",
        "user usr_1",
        "127.0.0.1",
    )
    assert (intent.organisation_id, intent.tenant_id, intent.act_id) == ("org", "home", intent.entry_id)
    assert intent.request_id == answer.headers["x-request-id"]
    assert (intent.objects, intent.details) == ({"tenant_id": "home"}, {"fields": "colour, name"})
    assert outcome == replace(
        intent,
        entry_id=outcome.entry_id,
        step=Step.OUTCOME,
        objects={"tenant_id": "home", "thing_id": "thing_1"},
        details={"fields": "colour, name", "said": "publicly"},
        result="ok",
    )
    assert SECRET not in f"{intent}{outcome}"


async def test_an_intent_names_only_what_was_found(house: House, client: httpx.AsyncClient) -> None:
    """Anything can stand in a path, a secret too: what nobody has looked up is written down when it was there."""
    house.who, house.during = somebody(May.TENANTS_WRITE), conflict
    await client.post("/places/home/notes/n1", json={"name": "x"})
    house.during = None
    house.clock.now_unix_ms += 2
    await client.post("/places/home/notes/n2", json={"name": "x"})
    found, gone = {"tenant_id": "home"}, {"tenant_id": "home", "note_id": "n2", "thing_id": "thing_2"}
    assert [line.objects for line in await house.lines()] == [found, found, found, gone]


async def test_reading_leaves_no_line(house: House, client: httpx.AsyncClient) -> None:
    house.who = somebody(May.TENANTS_READ)
    await client.get("/places/home")
    await client.get("/places")
    assert await house.lines() == []


async def test_what_never_began_leaves_no_line(house: House, client: httpx.AsyncClient) -> None:
    house.who = somebody(May.TENANTS_WRITE)
    for body in (b"{", b"{}", b'{"name": "x", "planted": 1}'):
        answer = await client.post("/places/home", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400
    assert (house.done, await house.lines()) == ([], [])


@pytest.mark.parametrize(("during", "status", "code"), [(conflict, 409, "conflict"), (bug, 500, "internal_error")])
async def test_the_record_says_how_it_went_wrong(
    house: House, client: httpx.AsyncClient, during: Callable[[], Any], status: int, code: str
) -> None:
    house.who, house.during = somebody(May.TENANTS_WRITE), during
    refused(await client.post("/places/home", json={"name": "x"}), status, code)
    assert await house.told() == [("intent", "thing.created", ""), ("outcome", "thing.created", code)]


async def test_without_a_record_nothing_happens(house: House, client: httpx.AsyncClient) -> None:
    house.who = somebody(May.TENANTS_WRITE, May.TENANTS_READ)
    await house.by_hand("PRAGMA query_only = ON")
    refused(await client.post("/places/home", json={"name": "x"}), 503, "service_unavailable")
    assert house.done == []
    assert (await client.get("/places/home")).status_code == 200


async def test_what_was_done_stands_though_the_record_cannot_say_so(
    house: House, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    house.who, house.during = somebody(May.TENANTS_WRITE), lambda: house.by_hand("PRAGMA query_only = ON")
    answer = await client.post("/places/home", json={"name": "x"})
    assert (answer.status_code, house.done) == (201, ["x"])
    assert await house.told() == [("intent", "thing.created", "")]
    assert [record.getMessage() for record in caplog.records] == ["an act has no outcome in the record"]


async def test_an_act_without_a_place_stands_in_the_record_of_who_did_it(
    house: House, client: httpx.AsyncClient
) -> None:
    house.who = somebody(May.PROJECTS_WRITE)
    await client.post("/things", json={"name": "x"})
    house.who = replace(operator(), rights=(Right(frozenset({May.PROJECTS_WRITE}), INSTALLATION),))
    house.clock.now_unix_ms += 2
    await client.post("/things", json={"name": "x"})
    assert [line.organisation_id for line in await house.lines()] == ["org", "org", "", ""]


# ------------------------------------------------------------------------------------------------------- languages


async def test_a_refusal_is_said_in_the_callers_language(house: House, client: httpx.AsyncClient) -> None:
    house.who = somebody(May.TENANTS_WRITE)
    spoken = {}
    for asked in ("fr-FR, en;q=0.5", "en", ""):
        answer = await client.get("/places", headers={"accept-language": asked})
        assert answer.headers["vary"] == "Accept-Language"
        spoken[asked] = (answer.headers["content-language"], answer.json()["error"]["message"])
    english = ("en", "This needs the permission 'tenants.read', which your credential has not.")
    french = ("fr", "Il faut pour cela la permission « tenants.read », que votre identifiant n'a pas.")
    assert spoken == {"fr-FR, en;q=0.5": french, "en": english, "": english}


async def test_a_sentence_that_nobody_translated_stays_english(house: House, client: httpx.AsyncClient) -> None:
    house.who, house.during = somebody(May.PROJECTS_WRITE), conflict
    answer = await client.post("/things", json={"name": "x"}, headers={"accept-language": "fr"})
    assert (answer.headers["content-language"], refused(answer, 409, "conflict")) == ("en", "Two of them.")


async def test_the_door_itself_speaks_french(client: httpx.AsyncClient) -> None:
    answer = await client.get("/places", headers={"accept-language": "fr", "host": "evil.example"})
    assert (answer.status_code, answer.headers["content-language"]) == (403, "fr")
