"""The operator's routes about access and declarations on a real socket: who may, what is signed, what is recorded."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from parvis.api.operator.app import make_app
from parvis.domain.identity.person import Realm
from parvis.domain.identity.place import INSTALLATION
from parvis.domain.identity.principal import operator
from parvis.domain.identity.role import Role
from parvis.domain.vault.signed_document import verified
from parvis.flows.grants import grant
from parvis.flows.people import create_person
from parvis.flows.personal_tokens import make_token

CHAT = "smollm2-135m-instruct"
DAY_MS = 86_400_000
Json = dict[str, Any]
OWNED = {
    "organisations": [
        {
            "id": "acme",
            "name": "Acme",
            "tenants": [{"id": "prod", "keys": [{"name": "backend", "models": [CHAT]}]}],
            "people": [
                {"email": "ada@acme.example", "sign_in": "openid", "roles": [{"role": "organisation_owner"}]},
            ],
        }
    ]
}
PLAIN = {"organisations": [{"id": "zeta", "tenants": [{"id": "zeta-prod"}]}]}


@pytest.fixture
async def client(premises: Any, kit: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with kit.client_of(make_app(premises.operator_desk()), kit.token) as client:
        yield client


async def sent(client: httpx.AsyncClient, method: str, path: str, body: Json | None = None, status: int = 200) -> Json:
    response = await client.request(method, path, json=body)
    assert response.status_code == status, response.text
    answer: Json = response.json()
    return answer


async def personal(premises: Any, role: Role) -> Json:
    """The headers of a personal token of one of the operator's people."""
    desk = premises.operator_desk()
    person = await create_person(desk.store, desk.mint, Realm.OPERATOR, "", f"{role}@host.example", "Op")
    await grant(desk.store, desk.mint, operator(), person.user_id, role, INSTALLATION)
    ends = desk.clock.unix_ms() + DAY_MS
    made = await make_token(desk.store, desk.mint, person, "t", ends, realm=Realm.OPERATOR)
    return {"authorization": f"Bearer {made.text.reveal()}"}


# Access


async def test_access_is_asked_by_place_by_user_and_by_model(client: httpx.AsyncClient, premises: Any) -> None:
    of_tenant = (await sent(client, "GET", "/v1/access?tenant=first"))["data"]
    assert [(one["means"], one["who"]) for one in of_tenant] == [("key", "first key")]
    who = (await sent(client, "GET", f"/v1/access?tenant=first&model={CHAT}"))["data"]
    assert [one["id"] for one in who] == [premises.first.key.key_id]
    assert (await sent(client, "GET", "/v1/access?user=nobody"))["data"] == []
    pages = await sent(client, "GET", "/v1/access?limit=1")
    rest = await sent(client, "GET", f"/v1/access?limit=1&after={pages['next']}")
    assert pages["data"][0]["id"] < rest["data"][0]["id"]
    for path in (f"/v1/access?model={CHAT}", f"/v1/access/report?model={CHAT}"):
        assert (await sent(client, "GET", path, status=400))["error"]["param"] == "tenant"
    for path in ("/v1/access?tenant=none", "/v1/access?organisation=none", "/v1/access?tenant=first&model=none"):
        await sent(client, "GET", path, status=404)
    assert (await sent(client, "GET", "/v1/access?unused_days=5"))["data"] == []


async def test_the_report_is_what_the_key_signed(client: httpx.AsyncClient) -> None:
    signing = await sent(client, "GET", "/v1/signing_key")
    response = await client.get("/v1/access/report", params={"tenant": "first", "model": CHAT})
    report = verified(response.content, bytes.fromhex(signing["public_key"]))
    assert response.headers["content-type"] == "application/json"
    assert (report["installation"], report["made_by"]) == (signing["installation"], "operator token")
    assert [one["who"] for one in report["answer"]] == ["first key"]


async def test_what_a_review_withdraws_stands_in_the_record_of_its_place(
    client: httpx.AsyncClient, premises: Any
) -> None:
    review = await sent(client, "POST", "/v1/reviews", {"name": "R", "due_at": await soon(premises)}, 201)
    path = f"/v1/reviews/{review['id']}"
    item = f"{path}/items/key:{premises.other.key.key_id}"
    assert (await sent(client, "POST", item, {"decision": "keep", "reason": ""}, 400))["error"]["param"] == "reason"
    await sent(client, "POST", f"{path}/items/key:none", {"decision": "keep", "reason": "x"}, 404)
    decided = await sent(client, "POST", item, {"decision": "withdraw", "reason": "gone"})
    assert (decided["decision"], decided["decided_by"]) == ("withdraw", "operator token")
    lines = (await sent(client, "GET", "/v1/audit_logs?tenant=other&action=api_key.deleted"))["data"]
    assert [(line["step"], line["result"]) for line in lines] == [("outcome", "ok"), ("intent", "")]
    listed = (await sent(client, "GET", "/v1/reviews"))["data"]
    assert [(one["id"], one["undecided"], one["overdue"]) for one in listed] == [(review["id"], 1, False)]
    assert len((await sent(client, "GET", f"{path}/items?undecided=true"))["data"]) == 1
    closed = await sent(client, "POST", f"{path}/close")
    assert closed["closed_at"]
    await sent(client, "POST", item, {"decision": "keep", "reason": "x"}, 409)
    await sent(client, "GET", "/v1/reviews/none", status=404)


async def soon(premises: Any) -> str:
    unix_ms: int = premises.operator_desk().clock.unix_ms() + DAY_MS
    return f"{datetime.fromtimestamp(unix_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


# Declarations


async def test_each_change_of_a_declaration_stands_in_its_customers_record(client: httpx.AsyncClient) -> None:
    done = await sent(client, "POST", "/v1/apply", {"file": OWNED, "show_secrets": True})
    assert done["applied"]
    assert [one["object"] for one in done["secrets"]] == ["key"]
    lines = (await sent(client, "GET", "/v1/audit_logs?organisation=acme"))["data"]
    intents = {line["action"] for line in lines if line["step"] == "intent"}
    assert intents >= {"organisation.created", "tenant.created", "user.created", "role.assignment.created"}
    assert "api_key.created" in intents
    assert done["secrets"][0]["text"] not in str((await sent(client, "GET", "/v1/audit_logs?limit=1000"))["data"])


async def test_a_refusal_midway_is_said_and_what_was_changed_is_announced(
    client: httpx.AsyncClient, premises: Any
) -> None:
    before = len(premises.announced)
    file = {
        "organisations": [
            {"id": "acme", "people": [{"email": "a@b.c", "sign_in": "openid", "roles": [{"role": "developer"}]}]}
        ]
    }
    await sent(client, "POST", "/v1/apply", {"file": file}, 400)
    assert len(premises.announced) == before + 1
    assert [one["id"] for one in (await sent(client, "GET", "/v1/organisations"))["data"]] == ["acme", "first"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "file"),
        ({"file": {"orgs": []}}, "file.orgs"),
        ({"file": {}, "force": True}, "force"),
        ({"file": {"models": [{"id": CHAT, "colour": "red"}]}}, "colour"),
        ({"file": {"prices": [{"version": "x", "valid_from": "soon"}]}}, "file.prices.0.input_microeuro_per_mtoken"),
        ({"file": {"organisations": [{"id": "a", "standing": "removed"}]}}, "file.organisations.0.standing"),
    ],
)
async def test_a_file_that_cannot_be_is_refused_by_its_path(client: httpx.AsyncClient, body: Json, param: str) -> None:
    assert (await sent(client, "POST", "/v1/apply", body, 400))["error"]["param"] == param


# Who may


async def test_a_program_of_an_operator_may_not_give_ownership(client: httpx.AsyncClient, premises: Any) -> None:
    client.headers.update(await personal(premises, Role.OPERATOR))
    error = (await sent(client, "POST", "/v1/apply", {"file": OWNED, "show_secrets": True}, 403))["error"]
    assert error["code"] == "step_up_required"
    assert (await sent(client, "POST", "/v1/apply", {"file": OWNED, "dry_run": True}))["applied"] is False
    assert (await sent(client, "POST", "/v1/apply", {"file": PLAIN}))["applied"] is True
    asked = {"email": "x@zeta.example", "roles": [{"role": "organisation_owner"}]}
    await sent(client, "POST", "/v1/organisations/zeta/invitations", asked, 403)
    await sent(client, "POST", "/v1/organisations/zeta/suspend")
    await sent(client, "DELETE", "/v1/organisations/zeta", status=403)
    await sent(client, "POST", "/v1/operators", {"email": "x@host.example", "role": "operator"}, 403)


async def test_an_auditor_reads_everything_and_changes_nothing(client: httpx.AsyncClient, premises: Any) -> None:
    client.headers.update(await personal(premises, Role.OPERATOR_AUDITOR))
    for path in ("/v1/organisations", "/v1/access", "/v1/access/report", "/v1/reviews", "/v1/operators", "/v1/grants"):
        await sent(client, "GET", path)
    for path, body in (
        ("/v1/organisations", {"name": "x"}),
        ("/v1/apply", {"file": {}}),
        ("/v1/reviews", {"name": "x", "due_at": "2030-01-01"}),
        ("/v1/tenants/first/suspend", {}),
    ):
        error = (await sent(client, "POST", path, body, 403))["error"]
        assert "permission" in error["message"]
