"""Resetting a sign-in and signing somebody out, through real listeners of both doors: what is dead after it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from parvis.api.console.app import make_app as make_console
from parvis.api.operator.app import make_app as make_operator
from parvis.domain.audit.query import EntryQuery
from parvis.domain.identity.person import Realm
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.domain.identity.role import Role
from parvis.domain.identity.session import PROVEN_MS_MAX
from parvis.flows.notices import PostOffice
from parvis.testing.browser import Browser, browser

Json = dict[str, Any]
ADA, BOB, BOSS, OP, OTHER_OP = (f"{name}@example.org" for name in ("ada", "bob", "boss", "first", "second"))
AFTER = "another sufficiently long phrase"
ENDS = "2027-03-01"


class Box:
    """A mail server that keeps what it takes."""

    def __init__(self) -> None:
        self.mail = list[tuple[str, ...]]()

    async def send(self, *letter: str) -> None:
        self.mail.append(letter)


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
async def console(premises: Any, kit: Any, box: Box) -> AsyncIterator[str]:
    store, clock = premises.store, premises.clock
    office = PostOffice(store, None, None, box, clock, bytes)  # type: ignore[arg-type]  # the box stands for the mail server, and nothing else is sent
    async with kit.listening(make_console(replace(premises.console_desk(), post_office=office))) as address:
        yield address


@pytest.fixture
async def door(premises: Any, kit: Any) -> AsyncIterator[str]:
    async with kit.listening(make_operator(premises.operator_desk())) as address:
        yield address


@pytest.fixture
async def pages(console: str) -> AsyncIterator[tuple[Browser, Browser]]:
    """Of who resets, and of who is reset."""
    async with browser(console) as one, browser(console) as other:
        yield one, other


@pytest.fixture
async def users(premises: Any) -> dict[str, str]:
    """An owner, a developer, and the owner of a tenant who is nothing else: ids by e-mail."""
    place = Target(premises.first.key.organisation_id, premises.first.key.tenant_id)
    home = Target(place.organisation_id)
    roles = {ADA: (Role.ORGANISATION_OWNER, home), BOB: (Role.DEVELOPER, place), BOSS: (Role.TENANT_OWNER, place)}
    return {email: (await premises.person(email, role)).user_id for email, role in roles.items()}


@pytest.fixture
async def operator(door: str, kit: Any) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {kit.token}"}
    async with httpx.AsyncClient(base_url=door, headers=headers, trust_env=False) as client:
        yield client


async def enter(page: Browser, email: str, premises: Any, kit: Any) -> str:
    """Sign in with a first second factor; the person's token for programs."""
    assert (await page.sign_in(email, kit.password)).status_code == 201
    await page.enrol_app(premises.clock.unix_ms())
    made = await page.post("/v1/profile/tokens", name="t", ends_at=ENDS)
    return str(made.json()["token"])


def refusal(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


async def opens(address: str, token: str) -> int:
    async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
        return (await client.get("/v1/profile", headers={"authorization": f"Bearer {token}"})).status_code


async def acts(premises: Any) -> list[tuple[str, str, str]]:
    """Outcomes in the record: what, by whom, how it ended."""
    found = (await premises.store.entries(EntryQuery(limit=200))).entries
    return [(entry.action, entry.actor_kind, entry.result) for entry in found if entry.result]


# ----------------------------------------------------------------------------------------------------- customers


async def test_an_owner_resets_and_the_person_comes_back(
    pages: tuple[Browser, Browser], console: str, users: dict[str, str], premises: Any, kit: Any, box: Box
) -> None:
    owner, bob = pages
    await enter(owner, ADA, premises, kit)
    token = await enter(bob, BOB, premises, kit)
    reset = await owner.post(f"/v1/organization/users/{users[BOB]}/sign_in/reset")
    assert reset.status_code == 200, reset.text
    link = reset.json()["link"]
    assert (reset.json()["email"], reset.json()["user_id"], link[:11]) == (BOB, users[BOB], "inv-parvis_")
    [(to, _, text, _)] = box.mail
    assert (to, link in text) == (BOB, True)

    assert refusal(await bob.get("/v1/session")) == (401, "invalid_credentials")
    assert await opens(console, token) == 401
    bob.client.cookies.clear()
    for _ in range(6):
        refused = await bob.sign_in(BOB, kit.password)
    assert refusal(refused) == (429, "too_many_attempts")

    assert refusal(await bob.post("/v1/invitations/accept", token=link)) == (400, "invalid_value")
    back = await bob.post("/v1/invitations/accept", token=link, password=AFTER)
    assert (back.status_code, back.json()["id"]) == (201, users[BOB])
    assert refusal(await bob.post("/v1/invitations/accept", token=link, password=AFTER)) == (404, "invitation_over")
    assert refusal(await bob.sign_in(BOB, kit.password)) == (401, "sign_in_refused")
    opened = await bob.sign_in(BOB, AFTER)
    assert (opened.status_code, opened.json()["must"]) == (201, "must_enrol")
    await bob.enrol_app(premises.clock.unix_ms())
    assert [one["role"] for one in (await bob.get("/v1/profile")).json()["grants"]] == ["developer"]
    assert ("user.sign_in_reset", "user", "ok") in await acts(premises)
    assert "login.recovered" in {action for action, _, result in await acts(premises) if result == "ok"}


async def test_an_owner_signs_somebody_out(
    pages: tuple[Browser, Browser], console: str, users: dict[str, str], premises: Any, kit: Any
) -> None:
    owner, bob = pages
    await enter(owner, ADA, premises, kit)
    token = await enter(bob, BOB, premises, kit)
    path = f"/v1/organization/users/{users[BOB]}/sessions"
    ended = await owner.delete(path)
    assert ended.json() == {"object": "signed_out", "user_id": users[BOB], "sessions": 1, "personal_tokens": 0}
    assert refusal(await bob.get("/v1/session")) == (401, "invalid_credentials")
    assert await opens(console, token) == 200
    ended = await owner.delete(f"{path}?personal_tokens=true")
    assert (ended.json()["sessions"], ended.json()["personal_tokens"]) == (0, 1)
    assert await opens(console, token) == 401
    assert ("user.sessions_ended", "user", "ok") in await acts(premises)


async def test_a_tenant_owner_takes_over_nobody(
    pages: tuple[Browser, Browser], users: dict[str, str], premises: Any, kit: Any
) -> None:
    boss, ada = pages
    await enter(boss, BOSS, premises, kit)
    await enter(ada, ADA, premises, kit)
    statuses = set()
    for email in (ADA, BOB, BOSS):
        statuses.add((await boss.post(f"/v1/organization/users/{users[email]}/sign_in/reset")).status_code)
        statuses.add((await boss.delete(f"/v1/organization/users/{users[email]}/sessions")).status_code)
    assert statuses == {403, 404}
    assert (await ada.get("/v1/session")).status_code == 200
    for email in (ADA, BOB):
        assert (await premises.store.people(Realm.CUSTOMER).factors(users[email])).password_hash


async def test_what_is_dangerous_asks_for_a_fresh_proof_and_for_somebody_else(
    pages: tuple[Browser, Browser], users: dict[str, str], premises: Any, kit: Any
) -> None:
    owner, _ = pages
    await enter(owner, ADA, premises, kit)
    own = await owner.post(f"/v1/organization/users/{users[ADA]}/sign_in/reset")
    assert refusal(own) == (403, "own_sign_in")
    premises.clock.ahead_ms += PROVEN_MS_MAX + 1000
    late = await owner.post(f"/v1/organization/users/{users[BOB]}/sign_in/reset")
    assert refusal(late) == (403, "step_up_required")
    assert refusal(await owner.delete(f"/v1/organization/users/{users[BOB]}/sessions")) == (403, "step_up_required")
    assert (await premises.store.people(Realm.CUSTOMER).factors(users[BOB])).password_hash


# -------------------------------------------------------------------------------------------------- the operator


async def test_the_operator_resets_the_only_owner_and_not_one_of_two(
    operator: httpx.AsyncClient, pages: tuple[Browser, Browser], users: dict[str, str], premises: Any, kit: Any
) -> None:
    _, ada = pages
    await enter(ada, ADA, premises, kit)
    path = f"/v1/users/{users[ADA]}"
    assert (await operator.delete(f"{path}/sessions")).json()["sessions"] == 1
    reset = (await operator.post(f"{path}/sign_in/reset")).json()
    assert refusal(await ada.get("/v1/session")) == (401, "invalid_credentials")
    assert (await ada.post("/v1/invitations/accept", token=reset["link"], password=AFTER)).status_code == 201
    assert (await ada.sign_in(ADA, AFTER)).status_code == 201
    given = {"role": "organisation_owner"}
    assert (await operator.post(f"/v1/users/{users[BOSS]}/grants", json=given)).status_code == 201
    assert refusal(await operator.post(f"{path}/sign_in/reset")) == (409, "other_owner")
    assert (await ada.get("/v1/session")).status_code == 200
    assert (await operator.post(f"/v1/users/{users[BOB]}/sign_in/reset")).status_code == 200
    assert ("user.sign_in_reset", "operator_token", "other_owner") in await acts(premises)


async def test_the_operators_people_are_reset_too(
    operator: httpx.AsyncClient, door: str, premises: Any, kit: Any
) -> None:
    role = (Role.OPERATOR, INSTALLATION)
    ids = [(await premises.person(email, role, realm=Realm.OPERATOR)).user_id for email in (OP, OTHER_OP)]
    async with browser(door) as page, browser(door) as other:
        await enter(page, OP, premises, kit)
        token = await enter(other, OTHER_OP, premises, kit)
        assert refusal(await page.post(f"/v1/operators/{ids[0]}/sign_in/reset")) == (403, "own_sign_in")
        ended = await page.delete(f"/v1/operators/{ids[1]}/sessions")
        assert (ended.json()["sessions"], await opens(door, token)) == (1, 200)
        link = (await page.post(f"/v1/operators/{ids[1]}/sign_in/reset")).json()["link"]
        assert await opens(door, token) == 401
        other.client.cookies.clear()
        assert refusal(await other.sign_in(OTHER_OP, kit.password)) == (401, "sign_in_refused")
        assert (await other.post("/v1/invitations/accept", token=link, password=AFTER)).status_code == 201
        assert (await other.sign_in(OTHER_OP, AFTER)).json()["must"] == "must_enrol"
    assert (await operator.post(f"/v1/operators/{ids[0]}/sign_in/reset")).status_code == 200
    assert {"operator.sign_in_reset", "operator.sessions_ended"} <= {action for action, _, _ in await acts(premises)}
    waiting = (await operator.get("/v1/operator_invitations")).json()["data"]
    assert {one["state"] for one in waiting} == {"accepted"}
