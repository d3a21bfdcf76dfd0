"""Signing in through real listeners: what opens, what does not, and that nobody is told why."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pyotp
import pytest
from argon2 import PasswordHasher

from parvis.api.console.app import make_app as make_console
from parvis.api.operator.app import make_app as make_operator
from parvis.domain.audit.query import EntryQuery
from parvis.domain.identity.organisation import Organisation, Standing
from parvis.domain.identity.person import Realm
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.domain.identity.principal import operator
from parvis.domain.identity.role import Role
from parvis.domain.identity.session import IDLE_MS_MAX, LIFE_MS_MAX, PROVEN_MS_MAX
from parvis.flows.invitations import invite
from parvis.flows.people import resume, suspend
from parvis.testing.authenticator import Authenticator
from parvis.testing.browser import Browser, browser

Json = dict[str, Any]
EMAIL = "ada@example.org"
WRONG = "some other long phrase"
STEP_MS = 30_000


@pytest.fixture
async def console(premises: Any, kit: Any) -> AsyncIterator[str]:
    async with kit.listening(make_console(premises.console_desk())) as address:
        yield address


@pytest.fixture
async def page(console: str) -> AsyncIterator[Browser]:
    async with browser(console) as opened:
        yield opened


@pytest.fixture
async def other_page(console: str) -> AsyncIterator[Browser]:
    async with browser(console) as opened:
        yield opened


@pytest.fixture
async def ada(premises: Any, kit: Any) -> Any:
    place = Target(premises.first.key.organisation_id)
    return await premises.person(EMAIL, (Role.ORGANISATION_OWNER, place))


@pytest.fixture
async def app(premises: Any, kit: Any, ada: Any, page: Browser) -> pyotp.TOTP:
    """Ada's authenticator app; nobody is signed in afterwards, and the next code is a fresh one."""
    await page.sign_in(EMAIL, kit.password)
    enrolled = await page.enrol_app(premises.clock.unix_ms())
    assert (await page.delete("/v1/session")).status_code == 200
    page.client.cookies.clear()
    premises.clock.ahead_ms += 2 * STEP_MS
    return enrolled


async def lines(premises: Any, action: str) -> list[Any]:
    found = (await premises.store.entries(EntryQuery(limit=100))).entries
    return [entry for entry in found if entry.action == action]


def code_now(app: pyotp.TOTP, premises: Any) -> str:
    return app.at(premises.clock.unix_ms() // 1000)


def refusal(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


# ------------------------------------------------------------------------------------------- the usual way


async def test_without_a_second_factor_a_session_is_for_enrolling_one(page: Browser, ada: Any, kit: Any) -> None:
    opened = await page.sign_in(EMAIL, kit.password)
    assert (opened.status_code, opened.json()["must"], opened.json()["user"]["id"]) == (201, "must_enrol", ada.user_id)
    assert (await page.get("/v1/session")).json()["must"] == "must_enrol"
    for path in ("/v1/profile", "/v1/profile/tokens", "/openapi.json"):
        assert refusal(await page.get(path)) == (403, "sign_in_incomplete")
    assert refusal(await page.post("/v1/profile/tokens", name="t", ends_at="2027-01-01")) == (403, "sign_in_incomplete")


async def test_enrolling_completes_the_session_under_another_cookie(
    page: Browser, ada: Any, kit: Any, premises: Any
) -> None:
    await page.sign_in(EMAIL, kit.password)
    before = page.cookie
    await page.enrol_app(premises.clock.unix_ms())
    assert page.cookie != before
    assert (await page.get("/v1/session")).json()["must"] is None
    assert (await page.get("/v1/profile")).json()["email"] == EMAIL
    stale = httpx.Cookies({"parvis_session": before})
    async with httpx.AsyncClient(base_url=page.client.base_url, cookies=stale, trust_env=False) as thief:
        assert refusal(await thief.get("/v1/session")) == (401, "invalid_credentials")


async def test_a_second_factor_completes_a_session_under_another_cookie(
    page: Browser, app: pyotp.TOTP, kit: Any, premises: Any
) -> None:
    opened = await page.sign_in(EMAIL, kit.password)
    assert opened.json()["must"] == "second_factor"
    before = page.cookie
    assert refusal(await page.get("/v1/profile")) == (403, "sign_in_incomplete")
    assert refusal(await page.post("/v1/profile/factors/totp/begin")) == (403, "sign_in_incomplete")
    done = await page.post("/v1/session/second_factor", code=code_now(app, premises))
    assert (done.status_code, done.json()["must"], done.json()["complete"]) == (200, None, True)
    assert page.cookie != before
    assert (await page.get("/v1/profile")).status_code == 200


async def test_a_code_may_come_with_the_password(page: Browser, app: pyotp.TOTP, kit: Any, premises: Any) -> None:
    opened = await page.sign_in(EMAIL, kit.password, code_now(app, premises))
    assert (opened.status_code, opened.json()["must"]) == (201, None)


async def test_a_hash_of_yesterdays_parameters_is_made_anew(page: Browser, ada: Any, kit: Any, premises: Any) -> None:
    people = premises.store.people(Realm.CUSTOMER)
    old = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(kit.password)
    await people.put_password(ada.user_id, old)
    assert (await page.sign_in(EMAIL, WRONG)).status_code == 401
    assert (await people.factors(ada.user_id)).password_hash == old
    for _ in range(2):
        assert (await page.sign_in(EMAIL, kit.password)).status_code == 201
        kept = (await people.factors(ada.user_id)).password_hash
        assert "$m=8,t=1,p=1$" in kept


async def test_a_cookie_is_for_its_browser_alone(page: Browser, ada: Any, kit: Any, premises: Any) -> None:
    head = (await page.sign_in(EMAIL, kit.password)).headers["set-cookie"]
    assert head.startswith("parvis_session=")
    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(head.split("; "))
    assert "secure" not in head.lower()
    secure = replace(
        premises.console_desk(), site=replace(premises.console_desk().site, public_url="https://x.example")
    )
    async with kit.listening(make_console(secure)) as address, browser(address) as other:
        head = (await other.sign_in(EMAIL, kit.password)).headers["set-cookie"]
    assert head.startswith("__Host-parvis_session=")
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=strict"} <= set(head.split("; "))


async def test_who_signed_out_is_out_whoever_has_a_copy(
    page: Browser, app: pyotp.TOTP, kit: Any, premises: Any
) -> None:
    await page.sign_in(EMAIL, kit.password, code_now(app, premises))
    stolen = page.cookie
    assert (await page.delete("/v1/session")).status_code == 200
    assert page.cookie == ""
    page.client.cookies.set("parvis_session", stolen)
    assert refusal(await page.get("/v1/profile")) == (401, "invalid_credentials")


async def test_sessions_end_when_idle_and_at_last(page: Browser, app: pyotp.TOTP, kit: Any, premises: Any) -> None:
    await page.sign_in(EMAIL, kit.password, code_now(app, premises))
    for _ in range(LIFE_MS_MAX // (IDLE_MS_MAX - STEP_MS)):
        premises.clock.ahead_ms += IDLE_MS_MAX - STEP_MS
        assert (await page.get("/v1/session")).status_code == 200
    premises.clock.ahead_ms += IDLE_MS_MAX - STEP_MS
    assert (await page.get("/v1/session")).status_code == 401
    await page.sign_in(EMAIL, kit.password, code_now(app, premises))
    premises.clock.ahead_ms += IDLE_MS_MAX
    assert (await page.get("/v1/session")).status_code == 401


# --------------------------------------------------------------------------------- nobody is told what was wrong


async def test_whatever_is_wrong_the_answer_is_the_same(
    page: Browser, app: pyotp.TOTP, kit: Any, premises: Any, ada: Any
) -> None:
    await premises.person("bob@example.org", (Role.MEMBER, Target(ada.organisation_id)))
    bob = await premises.store.people(Realm.CUSTOMER).person_by_email("bob@example.org")
    await suspend(premises.store, Realm.CUSTOMER, bob.user_id)
    tried = [
        await page.sign_in("nobody@example.org", kit.password),
        await page.sign_in(EMAIL, WRONG),
        await page.sign_in(EMAIL, kit.password, "000000"),
        await page.sign_in("bob@example.org", kit.password),
        await page.sign_in(EMAIL, "x" * 900),
    ]
    assert {(r.status_code, r.text, r.headers.get("set-cookie")) for r in tried} == {(401, tried[0].text, None)}
    reasons = {line.details["reason"] for line in await lines(premises, "login.failed")}
    assert reasons == {"unknown e-mail", "wrong password", "wrong code", "person or organisation not active"}


async def test_an_organisation_that_is_suspended_has_nobody_signed_in(
    page: Browser, app: pyotp.TOTP, kit: Any, premises: Any, ada: Any
) -> None:
    await page.sign_in(EMAIL, kit.password, code_now(app, premises))
    [known] = [o for o in await premises.store.organisations() if o.organisation_id == ada.organisation_id]
    await premises.store.put_organisation(replace(known, standing=Standing.SUSPENDED))
    assert refusal(await page.get("/v1/profile")) == (401, "invalid_credentials")
    premises.clock.ahead_ms += 2 * STEP_MS
    assert refusal(await page.sign_in(EMAIL, kit.password, code_now(app, premises))) == (401, "sign_in_refused")


async def test_a_suspended_person_is_out_at_once_and_comes_back_by_signing_in(
    page: Browser, app: pyotp.TOTP, kit: Any, premises: Any, ada: Any
) -> None:
    await premises.person("bob@example.org", (Role.ORGANISATION_OWNER, Target(ada.organisation_id)))
    await page.sign_in(EMAIL, kit.password, code_now(app, premises))
    await suspend(premises.store, Realm.CUSTOMER, ada.user_id)
    assert (await page.get("/v1/profile")).status_code == 401
    await resume(premises.store, Realm.CUSTOMER, ada.user_id)
    assert (await page.get("/v1/profile")).status_code == 401
    premises.clock.ahead_ms += 2 * STEP_MS
    assert (await page.sign_in(EMAIL, kit.password, code_now(app, premises))).status_code == 201


# -------------------------------------------------------------------------------------------------- lock-out


async def test_a_lock_holds_against_many_at_once(page: Browser, ada: Any, kit: Any, premises: Any) -> None:
    tried = await asyncio.gather(*[page.sign_in(EMAIL, WRONG) for _ in range(50)])
    judged = [response for response in tried if response.status_code == 401]
    locked = [response for response in tried if response.status_code == 429]
    assert (len(judged), len(locked)) == (5, 45)
    assert {r.json()["error"]["code"] for r in locked} == {"too_many_attempts"}
    assert all(0 < int(r.headers["retry-after"]) <= 30 for r in locked)
    right = await page.sign_in(EMAIL, kit.password)
    assert right.status_code == 429
    premises.clock.ahead_ms += 30_000
    assert (await page.sign_in(EMAIL, kit.password)).status_code == 201


async def test_the_lock_of_nobody_looks_like_that_of_somebody(page: Browser, ada: Any, kit: Any) -> None:
    for email in (EMAIL, "nobody@example.org"):
        told = [await page.sign_in(email, WRONG) for _ in range(6)]
        assert [r.status_code for r in told] == [401] * 5 + [429]


async def test_codes_cannot_be_guessed_either(page: Browser, app: pyotp.TOTP, kit: Any, premises: Any) -> None:
    """Knowing the password does not give back what guessing at the code costs."""
    seen = []
    for _ in range(8):
        await page.sign_in(EMAIL, kit.password)
        seen.append((await page.post("/v1/session/second_factor", code="000000")).status_code)
    assert seen[:5] == [401] * 5
    assert set(seen[5:]) == {429}


async def test_an_address_that_guesses_at_many_is_locked_too(page: Browser, ada: Any, kit: Any) -> None:
    for number in range(20):
        assert (await page.sign_in(f"{number}@example.org", WRONG)).status_code == 401
    assert (await page.sign_in(EMAIL, kit.password)).status_code == 429


# --------------------------------------------------------------------------------------------- once means once


async def test_a_code_is_good_once(page: Browser, app: pyotp.TOTP, kit: Any, premises: Any) -> None:
    code = code_now(app, premises)
    assert (await page.sign_in(EMAIL, kit.password, code)).status_code == 201
    assert refusal(await page.sign_in(EMAIL, kit.password, code)) == (401, "sign_in_refused")


async def test_of_two_who_show_one_code_one_comes_in(
    page: Browser, other_page: Browser, app: pyotp.TOTP, kit: Any, premises: Any
) -> None:
    code = code_now(app, premises)
    both = await asyncio.gather(*[b.sign_in(EMAIL, kit.password, code) for b in (page, other_page)])
    assert sorted(r.status_code for r in both) == [201, 401]


async def test_recovery_codes_are_good_once_each(page: Browser, ada: Any, kit: Any, premises: Any) -> None:
    await page.sign_in(EMAIL, kit.password)
    begun = (await page.post("/v1/profile/factors/totp/begin")).json()
    code = pyotp.TOTP(begun["seed"]).at(premises.clock.unix_ms() // 1000)
    done = (await page.post("/v1/profile/factors/totp", challenge_id=begun["id"], code=code)).json()
    assert len(set(done["recovery_codes"])) == 10
    for n, typed in enumerate((done["recovery_codes"][3], done["recovery_codes"][4].upper().replace("-", " "))):
        assert (await page.sign_in(EMAIL, kit.password, typed)).status_code == 201
        assert (await page.get("/v1/profile/factors")).json()["recovery_codes_left"] == 9 - n
        assert (await page.sign_in(EMAIL, kit.password, typed)).status_code == 401


async def test_who_came_without_a_factor_adds_none_to_one_that_was_enrolled_meanwhile(
    page: Browser, other_page: Browser, ada: Any, kit: Any, premises: Any
) -> None:
    """A thief who knows the password and began to enrol first does not finish after Ada has."""
    await other_page.sign_in(EMAIL, kit.password)
    begun = (await other_page.post("/v1/profile/factors/totp/begin")).json()
    await page.sign_in(EMAIL, kit.password)
    await page.enrol_app(premises.clock.unix_ms())
    code = pyotp.TOTP(begun["seed"]).at(premises.clock.unix_ms() // 1000)
    late = await other_page.post("/v1/profile/factors/totp", challenge_id=begun["id"], code=code)
    assert refusal(late) == (403, "sign_in_incomplete")


async def test_of_two_first_factors_at_once_one_is_enrolled(
    page: Browser, other_page: Browser, ada: Any, kit: Any, premises: Any
) -> None:
    begun = []
    for one in (page, other_page):
        await one.sign_in(EMAIL, kit.password)
        begun.append((await one.post("/v1/profile/factors/totp/begin")).json())
    codes = [pyotp.TOTP(b["seed"]).at(premises.clock.unix_ms() // 1000) for b in begun]
    done = await asyncio.gather(
        *[
            one.post("/v1/profile/factors/totp", challenge_id=b["id"], code=code)
            for one, b, code in zip((page, other_page), begun, codes, strict=True)
        ]
    )
    first, second = sorted(r.status_code for r in done)
    assert first == 201
    assert second in (403, 409)


# ------------------------------------------------------------------------------------------------- passkeys


async def test_a_passkey_opens_a_session_by_itself(page: Browser, ada: Any, kit: Any) -> None:
    device = Authenticator()
    await page.sign_in(EMAIL, kit.password)
    enrolled = await page.enrol_passkey(device, "laptop")
    assert (enrolled.status_code, enrolled.json()["must"]) == (201, None)
    await page.delete("/v1/session")
    opened = await page.sign_in_by_passkey(device)
    assert (opened.status_code, opened.json()["means"], opened.json()["must"]) == (201, "passkey", None)
    [kept] = (await page.get("/v1/profile/factors")).json()["passkeys"]
    assert (kept["name"], kept["used_at"] is not None) == ("laptop", True)


async def test_a_passkey_is_a_second_factor(page: Browser, ada: Any, kit: Any) -> None:
    device = Authenticator(verifies=False, counts=False)
    await page.sign_in(EMAIL, kit.password)
    await page.enrol_passkey(device)
    assert (await page.sign_in(EMAIL, kit.password)).json()["must"] == "second_factor"
    assert (await page.show_passkey(device)).json()["must"] is None
    assert refusal(await page.sign_in_by_passkey(device)) == (401, "sign_in_refused"), "nobody was verified"


@pytest.mark.parametrize("change", [{"origin": "https://evil.example"}, {"site": "evil.example"}, {"sign_count": 0}])
async def test_a_passkey_of_elsewhere_or_a_copy_opens_nothing(page: Browser, ada: Any, kit: Any, change: Json) -> None:
    device = Authenticator(sign_count=7)
    await page.sign_in(EMAIL, kit.password)
    await page.enrol_passkey(device)
    assert refusal(await page.sign_in_by_passkey(replace(device, **change))) == (401, "sign_in_refused")
    assert (await page.sign_in_by_passkey(device)).status_code == 201


async def test_a_challenge_is_answered_once_and_in_time(page: Browser, ada: Any, kit: Any, premises: Any) -> None:
    device = Authenticator(counts=False)
    await page.sign_in(EMAIL, kit.password)
    await page.enrol_passkey(device)
    for late_ms in (0, 5 * 60_000):
        begun = (await page.post("/v1/session/passkey/begin")).json()
        answer = {"challenge_id": begun["id"], "credential": device.get(begun["public_key"])}
        premises.clock.ahead_ms += late_ms
        first = await page.post("/v1/session/passkey", **answer)
        assert first.status_code == (401 if late_ms else 201)
        assert (await page.post("/v1/session/passkey", **answer)).status_code == 401


async def test_somebody_elses_passkey_completes_nothing(
    page: Browser, other_page: Browser, ada: Any, kit: Any, premises: Any
) -> None:
    await premises.person("eve@example.org", (Role.MEMBER, Target(ada.organisation_id)))
    mine, theirs = Authenticator(), Authenticator()
    await page.sign_in(EMAIL, kit.password)
    await page.enrol_passkey(mine)
    await other_page.sign_in("eve@example.org", kit.password)
    await other_page.enrol_passkey(theirs)
    await page.sign_in(EMAIL, kit.password)
    assert refusal(await page.show_passkey(theirs)) == (401, "sign_in_refused")
    assert (await page.get("/v1/session")).json()["must"] == "second_factor"


# -------------------------------------------------------------------------------------------------- two doors


async def test_what_opens_one_door_is_unknown_at_the_other(
    page: Browser, app: pyotp.TOTP, kit: Any, premises: Any
) -> None:
    await premises.person("op@example.org", (Role.OPERATOR, INSTALLATION), realm=Realm.OPERATOR)
    await page.sign_in(EMAIL, kit.password, code_now(app, premises))
    token = (await page.post("/v1/profile/tokens", name="t", ends_at="2027-03-01")).json()["token"]
    assert token.startswith("pat-parvis_")
    async with kit.listening(make_operator(premises.operator_desk())) as address, browser(address) as other:
        assert refusal(await other.sign_in(EMAIL, kit.password)) == (401, "sign_in_refused")
        assert (await other.sign_in("op@example.org", kit.password)).status_code == 201
        await other.enrol_app(premises.clock.unix_ms())
        theirs = (await other.post("/v1/profile/tokens", name="t", ends_at="2027-03-01")).json()["token"]
        assert theirs.startswith("opt-parvis_")
        assert (await other.get("/v1/profile")).json()["organisation_id"] == ""
        for name in ("parvis_session", "parvis_operator_session"):
            async with httpx.AsyncClient(base_url=address, cookies={name: page.cookie}, trust_env=False) as stranger:
                assert (await stranger.get("/v1/profile")).status_code == 401
        shown = {"authorization": f"Bearer {token}"}
        assert (await other.client.get("/v1/profile", headers=shown)).status_code == 401
        crossed = {"authorization": f"Bearer {theirs}"}
        assert (await page.client.get("/v1/profile", headers=crossed)).status_code == 401
        by_token = {"authorization": f"Bearer {kit.token}"}
        assert refusal(await other.client.get("/v1/profile", headers=by_token)) == (403, "person_required")
        [seen] = {(await other.client.get("/v1/keys", headers=crossed)).status_code}
        assert seen == 200


async def test_an_invitation_is_accepted_once(page: Browser, ada: Any, kit: Any, premises: Any) -> None:
    roles = [(Role.MEMBER, Target(ada.organisation_id))]
    mint = premises.operator_desk().mint
    _, link = await invite(premises.store, mint, operator(), ada.organisation_id, "bob@example.org", roles)
    body = {"token": link.reveal(), "name": "Bob", "password": kit.password}
    short = await page.post("/v1/invitations/accept", **{**body, "password": "short"})
    assert refusal(short) == (400, "invalid_value")
    both = await asyncio.gather(*[page.post("/v1/invitations/accept", **body) for _ in range(2)])
    assert sorted(r.status_code for r in both) == [201, 404]
    assert refusal(await page.post("/v1/invitations/accept", **body)) == (404, "invitation_over")
    assert (await page.sign_in("bob@example.org", kit.password)).status_code == 201


# ---------------------------------------------------------------------------------------- pages of elsewhere


async def test_a_page_of_elsewhere_cannot_use_the_cookie(
    page: Browser, app: pyotp.TOTP, kit: Any, premises: Any
) -> None:
    await page.sign_in(EMAIL, kit.password, code_now(app, premises))
    for headers in ({"origin": "https://evil.example"}, {"content-type": "text/plain"}):
        refused = await page.client.request("DELETE", "/v1/session", headers=headers)
        assert refused.status_code in (400, 403)
    assert (await page.get("/v1/session")).status_code == 200


# -------------------------------------------------------------------------------------------- a fresh proof


async def test_what_is_dangerous_needs_a_fresh_proof(page: Browser, app: pyotp.TOTP, kit: Any, premises: Any) -> None:
    await page.sign_in(EMAIL, kit.password, code_now(app, premises))
    premises.clock.ahead_ms += PROVEN_MS_MAX + 1
    wanted = {"name": "script", "ends_at": "2027-03-01"}
    assert refusal(await page.post("/v1/profile/tokens", **wanted)) == (403, "step_up_required")
    assert refusal(await page.post("/v1/session/step_up", password=kit.password)) == (403, "second_factor_due")
    assert (await page.post("/v1/session/step_up", code=code_now(app, premises))).status_code == 200
    assert (await page.post("/v1/profile/tokens", **wanted)).status_code == 201


async def test_without_a_second_factor_the_password_is_the_proof(
    page: Browser, ada: Any, kit: Any, premises: Any
) -> None:
    await premises.store.put_organisation(Organisation(ada.organisation_id, "First", second_factor=False))
    assert (await page.sign_in(EMAIL, kit.password)).json()["must"] is None
    premises.clock.ahead_ms += PROVEN_MS_MAX + 1
    assert refusal(await page.post("/v1/profile/factors/totp/begin")) == (403, "step_up_required")
    assert (await page.post("/v1/session/step_up", password=WRONG)).status_code == 401
    assert (await page.post("/v1/session/step_up", password=kit.password)).status_code == 200
    assert (await page.post("/v1/profile/factors/totp/begin")).status_code == 201


# ------------------------------------------------------------------------------------------------- no leaks


async def test_no_secret_of_a_sign_in_stands_in_a_log_or_in_the_record(
    page: Browser, ada: Any, kit: Any, premises: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = [kit.password, "a wrong phrase 83", "913-canary-code"]
    await page.sign_in(EMAIL, said[1])
    await page.sign_in(EMAIL, kit.password)
    app = await page.enrol_app(premises.clock.unix_ms())
    said.append(app.secret)
    token = (await page.post("/v1/profile/tokens", name="t", ends_at="2027-03-01")).json()["token"]
    codes = (await page.post("/v1/profile/factors/recovery_codes")).json()["recovery_codes"]
    await page.sign_in(EMAIL, kit.password, said[2])
    await page.sign_in(EMAIL, kit.password, codes[0])
    said += [token, *codes, page.cookie]
    kept = repr((await premises.store.entries(EntryQuery(limit=1000))).entries)
    logged = "\n".join(f"{r.getMessage()} {r.__dict__}" for r in caplog.records if r.name.startswith("parvis"))
    assert logged
    assert [one for one in said if one in kept or one in logged] == []
