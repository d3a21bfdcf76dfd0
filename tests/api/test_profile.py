"""What is one's own: profile, password, factors, sessions, tokens, through a real listener."""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from parvis.api.console.app import make_app
from parvis.api.web.instants import write_instant
from parvis.domain.identity.key_text import PERSONAL_PREFIX, new_key, read_other, write_key
from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.person import Realm
from parvis.domain.identity.place import Target
from parvis.domain.identity.role import Role
from parvis.flows.people import remove
from parvis.testing.authenticator import Authenticator
from parvis.testing.browser import Browser, browser

EMAIL = "ada@example.org"
NEXT = "another sufficiently long phrase"
STEP_MS = 30_000
DAY_MS = 86_400_000


@pytest.fixture
async def console(premises: Any, kit: Any) -> AsyncIterator[str]:
    async with kit.listening(make_app(premises.console_desk())) as address:
        yield address


@pytest.fixture
async def ada(premises: Any) -> Any:
    place = Target(premises.first.key.organisation_id)
    await premises.person("first@example.org", (Role.ORGANISATION_OWNER, place))
    return await premises.person(EMAIL, (Role.ORGANISATION_OWNER, place))


@pytest.fixture
async def page(console: str, ada: Any, kit: Any, premises: Any) -> AsyncIterator[Browser]:
    """Signed in, with a passkey that she holds."""
    async with browser(console) as opened:
        await opened.sign_in(EMAIL, kit.password)
        opened.device = Authenticator()  # type: ignore[attr-defined]  # what she has in her pocket
        assert (await opened.enrol_passkey(opened.device)).status_code == 201  # type: ignore[attr-defined]  # the same
        yield opened


def refusal(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def in_a_month(premises: Any) -> str:
    return write_instant(premises.clock.unix_ms() + 30 * DAY_MS)


async def call(console: str, token: str, path: str, verb: str = "GET", **body: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=console, trust_env=False) as program:
        return await program.request(verb, path, headers={"authorization": f"Bearer {token}"}, json=body or None)


# -------------------------------------------------------------------------------------------- profile, password


async def test_a_profile_is_read_and_changed(page: Browser, ada: Any) -> None:
    mine = (await page.get("/v1/profile")).json()
    assert (mine["id"], mine["email"], [g["role"] for g in mine["grants"]]) == (
        ada.user_id,
        EMAIL,
        ["organisation_owner"],
    )
    changed = await page.client.patch("/v1/profile", json={"name": "Ada King", "language": "fr"})
    assert (changed.json()["name"], changed.json()["language"]) == ("Ada King", "fr")
    for wrong in ({"email": "x@example.org"}, {"language": "de"}, {"name": "\n"}):
        assert (await page.client.patch("/v1/profile", json=wrong)).status_code == 400


async def test_a_new_password_ends_other_sessions(page: Browser, console: str, kit: Any) -> None:
    async with browser(console) as elsewhere:
        await elsewhere.sign_in_by_passkey(page.device)  # type: ignore[attr-defined]  # of the fixture
        wrong = await page.post("/v1/profile/password", password="not the old one", new_password=NEXT)
        assert refusal(wrong) == (401, "sign_in_refused")
        for weak in ("short", f"my {EMAIL} is long", "password1234", "x" * 201):
            answer = await page.post("/v1/profile/password", password=kit.password, new_password=weak)
            assert refusal(answer) == (400, "invalid_value")
            assert weak not in answer.text or len(weak) < 12
        assert (await elsewhere.get("/v1/session")).status_code == 200
        assert (await page.post("/v1/profile/password", password=kit.password, new_password=NEXT)).status_code == 200
        assert (await elsewhere.get("/v1/session")).status_code == 401
        assert (await page.get("/v1/session")).status_code == 200
        assert (await elsewhere.sign_in(EMAIL, kit.password)).status_code == 401
        assert (await elsewhere.sign_in(EMAIL, NEXT)).status_code == 201


# --------------------------------------------------------------------------------------------------- factors


async def test_factors_are_shown_without_anything_to_sign_in_with(page: Browser) -> None:
    shown = (await page.get("/v1/profile/factors")).json()
    assert (shown["password"], shown["totp"], shown["recovery_codes_left"]) == (True, None, 10)
    assert set(shown["passkeys"][0]) == {"object", "id", "name", "created_at", "used_at"}


async def test_an_app_follows_another_one(page: Browser, kit: Any, premises: Any) -> None:
    old = await page.enrol_app(premises.clock.unix_ms())
    new = await page.enrol_app(premises.clock.unix_ms())
    premises.clock.ahead_ms += 2 * STEP_MS
    now_s = premises.clock.unix_ms() // 1000
    assert (await page.sign_in(EMAIL, kit.password, old.at(now_s))).status_code == 401
    assert (await page.sign_in(EMAIL, kit.password, new.at(now_s))).status_code == 201


async def test_a_wrong_first_code_ends_the_enrolment(page: Browser) -> None:
    begun = (await page.post("/v1/profile/factors/totp/begin")).json()
    for code in ("000000", "wrong_code"):
        answer = await page.post("/v1/profile/factors/totp", challenge_id=begun["id"], code=code)
        assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "challenge_over"


async def test_a_broken_answer_of_a_browser_enrols_nothing(page: Browser) -> None:
    for broken in ({}, {"id": "x"}, {"id": "x", "rawId": "x", "response": {}, "type": "public-key"}):
        begun = (await page.post("/v1/profile/factors/passkeys/begin")).json()
        wanted = {"challenge_id": begun["id"], "name": "k", "credential": broken}
        assert refusal(await page.post("/v1/profile/factors/passkeys", **wanted)) == (400, "passkey_wrong")
    stranger = Authenticator(origin="https://evil.example")
    assert refusal(await page.enrol_passkey(stranger)) == (400, "passkey_wrong")


async def test_factors_are_taken_away(page: Browser, premises: Any) -> None:
    await page.enrol_app(premises.clock.unix_ms())
    codes = await page.post("/v1/profile/factors/recovery_codes")
    assert (codes.status_code, len(codes.json()["recovery_codes"])) == (201, 10)
    [passkey] = (await page.get("/v1/profile/factors")).json()["passkeys"]
    gone = await page.delete(f"/v1/profile/factors/passkeys/{passkey['id']}")
    assert gone.json()["passkeys"] == []
    assert (await page.delete(f"/v1/profile/factors/passkeys/{passkey['id']}")).status_code == 404
    assert (await page.delete("/v1/profile/factors/totp")).json()["totp"] is None
    assert (await page.get("/v1/session")).json()["must"] == "must_enrol"


# --------------------------------------------------------------------------------------------------- sessions


async def test_sessions_are_listed_and_ended(page: Browser, console: str) -> None:
    async with browser(console) as second, browser(console) as third:
        for other in (second, third):
            await other.sign_in_by_passkey(page.device)  # type: ignore[attr-defined]  # of the fixture
        listed = (await page.get("/v1/profile/sessions")).json()["data"]
        assert (len(listed), [one["current"] for one in listed].count(True)) == (3, True)
        [theirs] = [one["id"] for one in (await second.get("/v1/profile/sessions")).json()["data"] if one["current"]]
        assert (await page.delete(f"/v1/profile/sessions/{theirs}")).status_code == 200
        assert (await second.get("/v1/session")).status_code == 401
        assert (await page.delete("/v1/profile/sessions")).status_code == 200
        assert (await third.get("/v1/session")).status_code == 401
        assert (await page.delete(f"/v1/profile/sessions/{theirs}")).status_code == 404


async def test_nobody_ends_somebody_elses_session(page: Browser, console: str, kit: Any) -> None:
    async with browser(console) as other:
        mine = (await other.sign_in("first@example.org", kit.password)).json()["id"]
        assert (await page.delete(f"/v1/profile/sessions/{mine}")).status_code == 404
        assert (await other.get("/v1/session")).status_code == 200


async def test_when_somebody_was_last_here_is_known_to_the_minute(page: Browser, premises: Any, ada: Any) -> None:
    people = premises.store.people(Realm.CUSTOMER)
    before = (await people.person(ada.user_id)).last_seen_unix_ms
    await page.get("/v1/profile")
    assert (await people.person(ada.user_id)).last_seen_unix_ms == before
    premises.clock.ahead_ms += 61_000
    await page.get("/v1/profile")
    assert (await people.person(ada.user_id)).last_seen_unix_ms >= premises.clock.unix_ms() - 10_000


# ----------------------------------------------------------------------------------------------------- tokens


async def test_a_token_is_shown_once_and_acts_for_its_person(page: Browser, console: str, premises: Any) -> None:
    made = (await page.post("/v1/profile/tokens", name="script", ends_at=in_a_month(premises))).json()
    [listed] = (await page.get("/v1/profile/tokens")).json()["data"]
    assert listed == {name: value for name, value in made.items() if name != "token"}
    assert (await call(console, made["token"], "/v1/profile")).json()["email"] == EMAIL
    [used] = (await page.get("/v1/profile/tokens")).json()["data"]
    assert used["used_at"] is not None
    assert (await page.delete(f"/v1/profile/tokens/{made['id']}")).status_code == 200
    assert refusal(await call(console, made["token"], "/v1/profile")) == (401, "invalid_credentials")


async def test_a_token_does_nothing_that_only_its_person_does(page: Browser, console: str, premises: Any) -> None:
    made = (await page.post("/v1/profile/tokens", name="script", ends_at=in_a_month(premises))).json()
    for verb, path, body in (
        ("POST", "/v1/profile/tokens", {"name": "more", "ends_at": in_a_month(premises)}),
        ("POST", "/v1/profile/password", {"password": "x", "new_password": NEXT}),
        ("POST", "/v1/profile/factors/totp/begin", {}),
        ("PATCH", "/v1/profile", {"name": "Eve"}),
        ("GET", "/v1/session", {}),
        ("DELETE", f"/v1/profile/tokens/{made['id']}", {}),
    ):
        assert refusal(await call(console, made["token"], path, verb, **body)) == (403, "permission_denied"), path


async def test_a_token_is_narrowed_and_never_widened(page: Browser, premises: Any, kit: Any) -> None:
    ends = in_a_month(premises)
    limit = {"role": "developer", "tenant_id": kit.first_tenant}
    made = (await page.post("/v1/profile/tokens", name="dev", ends_at=ends, limits=[limit])).json()
    [shown] = made["limits"]
    assert shown["tenant_id"] == kit.first_tenant
    assert "keys.write" in shown["permissions"]
    assert "own.profile.write" not in shown["permissions"]
    for limits, status in (
        ([{"role": "operator"}], 403),
        ([{"permissions": ["credits.write"]}], 403),
        ([{"role": "member", "permissions": ["keys.read"]}], 400),
        ([{}], 400),
        ([{"role": "king"}], 400),
    ):
        assert (await page.post("/v1/profile/tokens", name="x", ends_at=ends, limits=limits)).status_code == status
    for wrong in ("2020-01-01", "2099-01-01", "soon", ""):
        assert (await page.post("/v1/profile/tokens", name="x", ends_at=wrong)).status_code == 400


async def test_a_token_ends_by_time_by_suspension_and_with_its_person(
    page: Browser, console: str, premises: Any, ada: Any
) -> None:
    token = (await page.post("/v1/profile/tokens", name="t", ends_at=in_a_month(premises))).json()["token"]
    [known] = [o for o in await premises.store.organisations() if o.organisation_id == ada.organisation_id]
    await premises.store.put_organisation(replace(known, standing=Standing.SUSPENDED))
    assert (await call(console, token, "/v1/profile")).status_code == 401
    await premises.store.put_organisation(known)
    assert (await call(console, token, "/v1/profile")).status_code == 200
    premises.clock.ahead_ms += 30 * DAY_MS
    assert (await call(console, token, "/v1/profile")).status_code == 401
    premises.clock.ahead_ms -= 30 * DAY_MS
    await remove(premises.store, Realm.CUSTOMER, ada.user_id)
    assert (await call(console, token, "/v1/profile")).status_code == 401


@pytest.mark.parametrize("change", ["forged", "unknown", "truncated", "other prefix", "empty"])
async def test_a_token_that_is_none_is_unknown(page: Browser, console: str, premises: Any, change: str) -> None:
    token = (await page.post("/v1/profile/tokens", name="t", ends_at=in_a_month(premises))).json()["token"]
    text = read_other(PERSONAL_PREFIX, token)
    assert text is not None
    _, guessed = new_key(os.urandom)
    wrong = {
        "forged": write_key(text.key_id, guessed, PERSONAL_PREFIX).reveal(),
        "unknown": write_key(*new_key(os.urandom), PERSONAL_PREFIX).reveal(),
        "truncated": token[:-1],
        "other prefix": token.replace("pat-", "opt-"),
        "empty": "pat-parvis_",
    }[change]
    assert (await call(console, wrong, "/v1/profile")).status_code == 401
