"""Every route of both administration listeners answers what it declares, and no declaration is left untried.

All tests of this folder ask through `listening`, which compares every answer; here each route is asked at least once.
"""

import json
import os
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from parvis.adapters.keyring.signing_key import Ed25519Signer
from parvis.api.console import tenants
from parvis.api.console.app import ROUTES as CONSOLE
from parvis.api.console.app import make_app as make_console
from parvis.api.operator.app import ROUTES as OPERATOR
from parvis.api.web.door import DESCRIPTION
from parvis.api.web.instants import write_instant
from parvis.api.web.routes import AnswerMissing, Route
from parvis.api.web.shapes import tenant_shape
from parvis.core.clock import SystemClock
from parvis.domain.identity.permission import Permission as May
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import operator
from parvis.domain.identity.role import Role
from parvis.flows.invitations import invite
from parvis.flows.notices import PostOffice
from parvis.flows.receipts import Notary
from parvis.testing.answer_witness import difference_of
from parvis.testing.authenticator import Authenticator
from parvis.testing.browser import browser
from parvis.testing.store_suite import COST, lent, usage_record
from parvis.testing.two_customers import MODEL, TwoCustomers, furnish

Json = dict[str, Any]
Step = tuple[str, str, Json]
EMAIL = "ada@example.org"
NEXT = "another sufficiently long phrase"
IN_A_MONTH = write_instant(time.time_ns() // 1_000_000 + 30 * 86_400_000)
HOLE = re.compile(r"\{(\w+)(?::path)?\}")
ASKED_FOR = {
    "/v1/organization/usage": "?start_time=1&limit=1",
    "/v1/organization/costs": "?start_time=1&limit=1",
    "/v1/usage": "?group_by=key,model,day",
    "/v1/access/report": f"?tenant=home&model={MODEL}",
}
"""What reports must be told, by the beginning of their paths."""
PRICES = {f"{name}_microeuro_per_mtoken": 1 for name in ("input", "output", "reasoning")}
KEYS: list[Step] = [
    ("PATCH", "/v1/keys/{key_id}", {"schedule": {}, "ends_at": IN_A_MONTH}),
    ("POST", "/v1/keys/{key_id}/rotation", {"act": "start"}),
    ("DELETE", "/v1/keys/{key_id}", {}),
]
REVIEWS: list[Step] = [
    ("POST", "/v1/reviews", {"name": "r", "due_at": IN_A_MONTH, "tenant_id": "{tenant_id}"}),
    ("POST", "/v1/reviews/{review_id}/items/{item_id}", {"decision": "keep", "reason": "r"}),
    ("POST", "/v1/reviews/{review_id}/close", {}),
]
LIMITS: list[Step] = [
    ("PUT", "/v1/limits/{subject}", {"requests_per_minute": 1, "monthly_euro": "1", "notice_percents": [50]}),
    ("DELETE", "/v1/limits/{subject}", {}),
]
_PROJECT = "/v1/organization/projects/{project_id}"
_SPENDING = {"currency": "EUR", "interval": "month", "threshold_amount": 1}
AT_THE_CONSOLE: list[Step] = [
    ("POST", "/v1/keys/sync", {"rotate": True}),
    ("POST", "/v1/keys/report", {"key": "nothing"}),
    ("POST", "/v1/estimate", {"input": "x", "tenant_id": "{tenant_id}"}),
    ("PATCH", "/v1/tenants/{tenant_id}", {"name": "x"}),
    ("POST", "/v1/tenants/{tenant_id}/keys", {"name": "k", "limits": {"monthly_euro": "1"}}),
    *LIMITS,
    ("POST", "/v1/organization/spend_limit", _SPENDING),
    ("DELETE", "/v1/organization/spend_limit", {}),
    ("POST", f"{_PROJECT}/spend_limit", _SPENDING),
    ("DELETE", f"{_PROJECT}/spend_limit", {}),
    ("POST", "/v1/grants", {"user_id": "{user_id}", "role": "billing_reader", "tenant_id": "{tenant_id}"}),
    ("DELETE", "/v1/grants/{grant_id}", {}),
    *REVIEWS,
    ("POST", f"{_PROJECT}/users", {"user_id": "{user_id}", "role": "member"}),
    ("POST", f"{_PROJECT}/users/{{user_id}}", {"role": "member"}),
    ("GET", f"{_PROJECT}/users/{{user_id}}", {}),
    ("DELETE", f"{_PROJECT}/users/{{user_id}}", {}),
    ("POST", f"{_PROJECT}/service_accounts", {"name": "s"}),
    ("DELETE", f"{_PROJECT}/api_keys/{{made_id}}", {}),
    ("DELETE", f"{_PROJECT}/service_accounts/{{key_id}}", {}),
    ("POST", _PROJECT, {"name": "x"}),
    ("POST", f"{_PROJECT}/archive", {}),
    ("POST", "/v1/organization/projects", {"name": "x", "tenant_id": "home"}),
    ("POST", "/v1/organization/users/{user_id}", {"role": "reader"}),
    ("DELETE", "/v1/organization/users/{user_id}/sessions", {}),
    ("POST", "/v1/organization/users/{user_id}/sign_in/reset", {}),
    ("DELETE", "/v1/organization/sign_in/links/{user_id}", {}),
    ("DELETE", "/v1/organization/users/{user_id}", {}),
    ("POST", "/v1/organization/invites", {"email": "new@north.example", "role": "reader"}),
    ("DELETE", "/v1/organization/invites/{invitation_id}", {}),
    ("POST", "/v1/organization/admin_api_keys", {"name": "t"}),
    ("DELETE", "/v1/organization/admin_api_keys/{made_id}", {}),
    ("DELETE", "/v1/notice-targets/{target_id}", {}),
    ("DELETE", "/v1/organization/sign_in", {}),
]
_ORGANISATION = "/v1/organisations/{organisation_id}"
_PARTY = {"name": "n", "street": "s", "postcode": "1", "city": "c", "vat_id": "FR96552100554"}
_ENTRY = {"engine": "e", "engine_model": "m", "context_tokens": 1, "capabilities": ["chat"]}
_FILE = {"organisations": [{"id": "south", "name": "Renamed"}]}
AT_THE_OPERATOR: list[Step] = [
    ("POST", "/v1/route", {"key_id": "{key_id}", "request": {"model": MODEL, "prompt": "x"}}),
    ("POST", "/v1/models", {"id": "new", **_ENTRY}),
    ("POST", "/v1/models/apply", {"models": [{"id": "new", "context_tokens": 2}]}),
    ("PUT", "/v1/models/new", _ENTRY),
    ("POST", "/v1/keys", {"name": "k", "tenant_id": "{tenant_id}"}),
    *LIMITS,
    ("PUT", "/v1/tiers/{tier_id}", {"name": "t", "limits": {"requests_per_minute": 1}}),
    ("PUT", "/v1/tenants/{tenant_id}/contract", {"tier_id": "{tier_id}", "exhaustion": "refuse"}),
    *KEYS,
    ("DELETE", "/v1/notice-targets/{target_id}", {}),
    ("POST", "/v1/prices", PRICES),
    ("POST", "/v1/credits", {"tenant_id": "{tenant_id}", "euro": "1.5"}),
    ("POST", "/v1/orders", {"tenant_id": "{tenant_id}", "euro": "1.5", "expires_at": "2999-01-01"}),
    ("POST", "/v1/refunds", {"tenant_id": "{tenant_id}", "euro": "0.000000000001", "note": "n"}),
    ("POST", "/v1/ledger/losses", {"run": "nobody", "note": "n", "dry_run": True}),
    ("POST", "/v1/ledger/dismissals", {"request_id": "req_000077", "note": "n"}),
    ("PUT", "/v1/seller", {"party": _PARTY, "notes": {"PMD": "x"}}),
    ("PUT", f"{_ORGANISATION}/buyer", {"party": _PARTY}),
    ("POST", f"{_ORGANISATION}/invoices", {"month": "2026-10"}),
    ("POST", "/v1/invoices/{number}/credit_notes", {}),
    ("POST", "/v1/nodes/codes", {}),
    ("DELETE", "/v1/nodes/{node_id}", {}),
    ("POST", "/v1/deployments", {"id": "far", "pool": "e", "addresses": [{"url": "http://h:9"}]}),
    ("PATCH", "/v1/deployments/{deployment_id}", {"replicas": 2}),
    *(("POST", f"/v1/deployments/{{deployment_id}}/{act}", {}) for act in ("cordon", "uncordon", "restart", "drain")),
    *(("POST", f"/v1/replicas/{{replica_id}}/{act}", {}) for act in ("cordon", "uncordon", "drain")),
    ("DELETE", "/v1/deployments/{deployment_id}", {}),
    ("POST", "/v1/organisations", {"name": "o", "organisation_id": "west"}),
    ("PATCH", _ORGANISATION, {"name": "x"}),
    ("POST", f"{_ORGANISATION}/tenants", {"name": "t"}),
    ("POST", f"{_ORGANISATION}/users", {"email": "new@north.example", "name": "New"}),
    ("POST", f"{_ORGANISATION}/invitations", {"email": "next@north.example", "roles": [{"role": "member"}]}),
    ("DELETE", f"{_ORGANISATION}/invitations/{{invitation_id}}", {}),
    ("PATCH", "/v1/tenants/{tenant_id}", {"name": "x"}),
    ("POST", "/v1/tenants/{tenant_id}/projects", {"name": "p"}),
    ("PATCH", "/v1/projects/{project_id}", {"name": "x"}),
    ("PATCH", "/v1/users/{user_id}", {"name": "x"}),
    ("POST", "/v1/users/{user_id}/suspend", {}),
    ("POST", "/v1/users/{user_id}/resume", {}),
    ("DELETE", "/v1/users/{user_id}/sessions", {}),
    ("POST", "/v1/users/{user_id}/sign_in/reset", {}),
    ("POST", "/v1/users/{user_id}/grants", {"role": "billing_reader", "tenant_id": "{tenant_id}"}),
    ("DELETE", "/v1/grants/{grant_id}", {}),
    ("DELETE", f"{_ORGANISATION}/sign_in/links/{{user_id}}", {}),
    ("DELETE", "/v1/users/{user_id}", {}),
    *REVIEWS,
    ("POST", "/v1/apply", {"file": _FILE, "dry_run": True}),
    ("POST", "/v1/apply", {"file": _FILE}),
    ("POST", "/v1/tenants/{tenant_id}/suspend", {}),
    ("POST", "/v1/tenants/{tenant_id}/resume", {}),
    ("POST", "/v1/tenants/{tenant_id}/suspend", {}),
    ("DELETE", "/v1/tenants/{tenant_id}", {}),
    ("DELETE", f"{_ORGANISATION}/sign_in", {}),
    ("POST", f"{_ORGANISATION}/suspend", {}),
    ("POST", f"{_ORGANISATION}/resume", {}),
    ("POST", "/v1/organisations/west/suspend", {}),
    ("DELETE", "/v1/organisations/west", {}),
    ("POST", "/v1/operators", {"email": "third@operator.example", "role": "operator_auditor"}),
    ("DELETE", "/v1/operator_invitations/{staff_invitation_id}", {}),
    ("DELETE", "/v1/operator_grants/{staff_grant_id}", {}),
    ("POST", "/v1/operators/{staff_id}/grants", {"role": "operator_auditor"}),
    ("POST", "/v1/operators/{staff_id}/suspend", {}),
    ("POST", "/v1/operators/{staff_id}/resume", {}),
    ("DELETE", "/v1/operators/{staff_id}/sessions", {}),
    ("POST", "/v1/operators/{staff_id}/sign_in/reset", {}),
    ("DELETE", "/v1/operators/{staff_id}", {}),
]
CALLERS = {"console": ("org_owner", "key"), "operator": ("operator",)}
ELSEWHERE = {"/v1/organization/sign_in", "/v1/organisations/{organisation_id}/sign_in"}
"""What is PUT there is shown as GET shows it, when a provider has answered: tests/api/test_openid.py has one."""


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[TwoCustomers]:
    furnished = await furnish(f"sqlite:///{tmp_path}/house.db")
    yield furnished
    await furnished.store.close()


def in_json(routes: tuple[Route, ...]) -> list[Route]:
    return [route for route in (*routes, DESCRIPTION) if route.shows is not None]


def filled(text: str, known: Json) -> str:
    """With what is known in its holes."""
    return HOLE.sub(lambda hole: str(known.get(hole[1], "?")), text)


async def read_everything(house: TwoCustomers, listener: str, routes: tuple[Route, ...]) -> None:
    """Whoever may: what can be asked without changing anything."""
    for route in in_json(routes):
        query = next((said for start, said in ASKED_FOR.items() if route.path.startswith(start)), "")
        for caller in CALLERS[listener]:
            of_operators = "{operator_id}" in route.path
            own = {name: held for name, held in house.callers[caller].own.items() if name != "user_id"}
            known = house.things["own"] | own | (house.staff if of_operators else {})
            path = filled(route.path, known)
            if route.method == "GET":
                await house.visitor.ask(listener, "GET", path + query, house.callers[caller].headers)


async def walk(house: TwoCustomers, listener: str, steps: list[Step], place: str) -> None:
    """One after the other, as who may do it all; a key does what is a key's."""
    who, *programs = CALLERS[listener]
    made_id = ""
    for method, path, body in steps:
        caller = house.callers[programs[0] if path == "/v1/keys/sync" else who]
        known = house.things[place] | {"made_id": made_id}
        if "staff" in path:
            known = {f"staff_{name.removeprefix('staff_')}": held for name, held in house.staff.items()}
        where = filled(path, known)
        said = filled(json.dumps(body), known).encode()
        status, answer = await house.visitor.ask(listener, method, where, caller.headers, said)
        assert status in range(200, 300), (listener, method, where, answer.decode())
        made_id = json.loads(answer).get("id", "")


async def sign_in_and_out(premises: Any, kit: Any) -> set[Route]:
    """All that somebody does about their own sign-in, at the console; both doors have the same routes for it."""
    answered: set[Route] = set()
    organisation_id = premises.first.key.organisation_id
    desk = premises.console_desk()
    office = PostOffice(desk.store, None, None, Box(), desk.clock, desk.randomness)  # type: ignore[arg-type]  # the box stands for the mail server, and nothing else is sent
    roles = [(Role.ORGANISATION_OWNER, Target(organisation_id))]
    _, link = await invite(desk.store, desk.mint, operator(), organisation_id, EMAIL, roles)
    app = make_console(replace(desk, post_office=office))
    async with kit.listening(app, answered) as address, browser(address) as page, browser(address) as other:
        me = {"token": link.reveal(), "name": "Ada", "password": kit.password}
        assert (await page.post("/v1/invitations/accept", **me)).status_code == 201
        await page.sign_in(EMAIL, kit.password)
        await page.enrol_app(premises.clock.unix_ms())
        device = Authenticator()
        assert (await page.enrol_passkey(device)).json()["must"] is None
        await page.show_passkey(device, "/v1/session/step_up")
        await page.post("/v1/profile/factors/recovery_codes")
        await page.post("/v1/profile/tokens", name="t", ends_at=IN_A_MONTH)
        form = {"kind": "mail", "address": EMAIL, "tenant_id": premises.first.key.tenant_id}
        await page.post("/v1/notice-targets", **form)
        await page.client.patch("/v1/profile", json={"name": "Ada L."})
        await page.post("/v1/profile/password", password=kit.password, new_password=NEXT)
        await other.sign_in_by_passkey(device)
        await other.sign_in(EMAIL, NEXT)
        await other.show_passkey(device)
        mine = (await other.get("/v1/profile/sessions")).json()["data"]
        theirs = next(one["id"] for one in mine if not one["current"])
        tokens = (await page.get("/v1/profile/tokens")).json()["data"]
        await page.delete(f"/v1/profile/tokens/{tokens[0]['id']}")
        await other.delete(f"/v1/profile/sessions/{theirs}")
        await other.delete("/v1/profile/sessions")
        await other.delete("/v1/profile/factors/totp")
        [kept] = (await other.get("/v1/profile/factors")).json()["passkeys"]
        await other.delete(f"/v1/profile/factors/passkeys/{kept['id']}")
        await other.delete("/v1/session")
    return answered


class Box:
    """Would take mail; nobody sends any here."""


async def test_every_route_answers_what_it_declares(house: TwoCustomers, premises: Any, kit: Any) -> None:
    await read_everything(house, "console", CONSOLE)
    await read_everything(house, "operator", OPERATOR)
    await walk(house, "console", KEYS, "own")
    await walk(house, "console", AT_THE_CONSOLE, "sibling")
    await house.store.ingest("astray", 1, [usage_record(77, "nobody")])
    late = usage_record(78, "away")
    await lent(house.store, "away", "late", COST, "late")
    of_south = late.started._replace(organisation_id="south", model_id=MODEL)
    await house.store.ingest("late", 1, [late._replace(started=of_south)])
    await Notary(house.store, Ed25519Signer(b"seed" * 8), SystemClock(), os.urandom).seal()
    await walk(house, "operator", AT_THE_OPERATOR, "foreign")
    answered = house.visitor.answered | await sign_in_and_out(premises, kit)
    untried = [
        f"{route.method} {route.path}"
        for route in in_json((*CONSOLE, *OPERATOR))
        if route not in answered and (route.method, route.path) not in {("PUT", path) for path in ELSEWHERE}
    ]
    assert untried == []


async def test_a_field_too_many_and_one_too_few_are_seen(house: TwoCustomers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controls, at one route."""
    headers = house.callers["org_owner"].headers
    assert (await house.visitor.ask("console", "GET", "/v1/tenants/home", headers))[0] == 200
    for planted, what in ((lambda one: one | {"note": ""}, "unknown field `note`"), (without_name, "required field")):
        with monkeypatch.context() as patch:
            patch.setattr(tenants, "tenant_shape", lambda one, planted=planted: planted(tenant_shape(one)))
            with pytest.raises(AssertionError, match=what):
                await house.visitor.ask("console", "GET", "/v1/tenants/home", headers)


def without_name(shape: Json) -> Json:
    return {name: value for name, value in shape.items() if name != "name"}


async def test_a_line_of_the_record_has_one_field_of_its_own(house: TwoCustomers) -> None:
    headers = house.callers["org_owner"].headers
    await house.visitor.ask("console", "PATCH", "/v1/tenants/home", headers, b'{"name": "x"}')
    [route] = [route for route in CONSOLE if route.path == "/v1/organization/audit_logs"]
    _, body = await house.visitor.ask("console", "GET", route.path, headers)
    assert b'"tenant.updated":{' in body
    assert difference_of(route, body) == ""
    assert "unknown fields" in difference_of(route, body.replace(b'"tenant.updated":{', b'"tenant.deleted":{'))
    assert "unknown field `name`" in difference_of(
        route, body.replace(b'"tenant.updated":{', b'"tenant.updated":{"name":"",')
    )


def test_a_route_without_a_declared_answer_cannot_be_declared() -> None:
    async def show() -> Json:
        """Nobody knows what."""
        return {}

    with pytest.raises(AnswerMissing, match="GET /x declares no answer"):
        Route("GET", "/x", show, May.TENANTS_READ)
