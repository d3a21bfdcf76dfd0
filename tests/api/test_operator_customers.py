"""The operator's routes about customers on a real socket: organisations, tenants, projects, people, roles and keys."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from parvis.api.operator.app import make_app
from parvis.domain.identity.person import Realm
from parvis.flows.people import create_person

CHAT, EMBED = "smollm2-135m-instruct", "all-minilm-l6-v2"
Json = dict[str, Any]


@pytest.fixture
async def client(premises: Any, kit: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with kit.client_of(make_app(premises.operator_desk()), kit.token) as client:
        yield client


async def sent(client: httpx.AsyncClient, method: str, path: str, body: Json | None = None, status: int = 200) -> Json:
    response = await client.request(method, path, json=body)
    assert response.status_code == status, response.text
    answer: Json = response.json()
    return answer


async def refused(client: httpx.AsyncClient, method: str, path: str, body: Json | None, status: int) -> Json:
    response = await client.request(method, path, json=body)
    assert response.status_code == status, response.text
    error: Json = response.json()["error"]
    assert list(error) == ["message", "type", "param", "code"]
    return error


@pytest.fixture
async def acme(client: httpx.AsyncClient) -> str:
    """A customer with one tenant, `acme-prod`."""
    await sent(client, "POST", "/v1/organisations", {"name": "Acme", "organisation_id": "acme"}, 201)
    body = {"name": "Production", "tenant_id": "acme-prod"}
    await sent(client, "POST", "/v1/organisations/acme/tenants", body, 201)
    return "acme"


# Organisations, tenants, projects


async def test_a_customer_is_made_renamed_and_listed(client: httpx.AsyncClient, acme: str) -> None:
    changed = await sent(client, "PATCH", "/v1/organisations/acme", {"name": "Acme SA", "second_factor": False})
    assert (changed["name"], changed["second_factor"], changed["standing"]) == ("Acme SA", False, "active")
    listed = await sent(client, "GET", "/v1/organisations?limit=1")
    assert ([one["id"] for one in listed["data"]], listed["next"]) == (["acme"], "acme")
    rest = await sent(client, "GET", "/v1/organisations?after=acme")
    assert [one["id"] for one in rest["data"]] == ["first"]


async def test_an_id_can_be_left_to_us(client: httpx.AsyncClient) -> None:
    made = await sent(client, "POST", "/v1/organisations", {"name": "Nameless"}, 201)
    assert made["id"].startswith("org_")
    tenant = await sent(client, "POST", f"/v1/organisations/{made['id']}/tenants", {"name": "T"}, 201)
    assert tenant["id"].startswith("tenant_")


async def test_what_cannot_be_is_said(client: httpx.AsyncClient, acme: str) -> None:
    taken = {"name": "Acme", "organisation_id": "acme"}
    await refused(client, "POST", "/v1/organisations", taken, 409)
    wrong = await refused(client, "POST", "/v1/organisations", {"name": "x", "organisation_id": "A B"}, 400)
    assert wrong["param"] == "organisation_id"
    assert (await refused(client, "POST", "/v1/organisations", {"name": " "}, 400))["param"] == "name"
    unknown = await refused(client, "POST", "/v1/organisations", {"name": "x", "colour": 1}, 400)
    assert unknown["param"] == "colour"
    await refused(client, "GET", "/v1/organisations/none", None, 404)
    await refused(client, "GET", "/v1/tenants/none", None, 404)
    await refused(client, "GET", "/v1/projects/none", None, 404)


async def test_a_tenant_has_its_rules_and_a_project(client: httpx.AsyncClient, acme: str) -> None:
    rules = {"models_allowed": ["smollm2*"], "models_denied": ["*-beta"], "addresses": ["192.0.2.0/24"]}
    changed = await sent(client, "PATCH", "/v1/tenants/acme-prod", {**rules, "name": "P", "credit_unlimited": True})
    assert changed | rules == changed
    assert (await sent(client, "GET", "/v1/tenants?organisation=acme"))["data"] == [changed]
    projects = (await sent(client, "GET", "/v1/projects?tenant=acme-prod"))["data"]
    assert [one["name"] for one in projects] == ["Default"]
    for field, wrong in (("models_allowed", ["a b"]), ("addresses", ["192.0.2.1/24"]), ("models_denied", ["x?"])):
        assert (await refused(client, "PATCH", "/v1/tenants/acme-prod", {field: wrong}, 400))["param"] == field


async def test_projects_are_made_and_archived(client: httpx.AsyncClient, acme: str) -> None:
    body = {"name": "Search", "project_id": "search"}
    made = await sent(client, "POST", "/v1/tenants/acme-prod/projects", body, 201)
    assert (made["tenant_id"], made["archived"]) == ("acme-prod", False)
    changed = await sent(client, "PATCH", "/v1/projects/search", {"name": "Find", "archived": True})
    assert (changed["name"], changed["archived"]) == ("Find", True)
    assert (await sent(client, "GET", "/v1/projects/search")) == changed


async def test_removing_needs_suspending_first(client: httpx.AsyncClient, acme: str, premises: Any) -> None:
    for path in ("/v1/tenants/acme-prod", "/v1/organisations/acme"):
        await refused(client, "DELETE", path, None, 409)
        assert (await sent(client, "POST", f"{path}/suspend"))["standing"] == "suspended"
        assert (await sent(client, "POST", f"{path}/resume"))["standing"] == "active"
        await sent(client, "POST", f"{path}/suspend")
        assert (await sent(client, "DELETE", path))["standing"] == "removed"
        await refused(client, "POST", f"{path}/resume", None, 409)
        await refused(client, "PATCH", path, {"name": "again"}, 409)
    assert premises.announced


async def test_the_keys_of_what_is_removed_are_revoked(client: httpx.AsyncClient, acme: str) -> None:
    key = await sent(client, "POST", "/v1/keys", {"name": "k", "tenant_id": "acme-prod"}, 201)
    await sent(client, "POST", "/v1/organisations/acme/suspend")
    assert (await sent(client, "GET", f"/v1/keys/{key['id']}"))["active"]
    await sent(client, "DELETE", "/v1/organisations/acme")
    assert not (await sent(client, "GET", f"/v1/keys/{key['id']}"))["active"]


# People and roles


async def test_users_come_and_go(client: httpx.AsyncClient, acme: str) -> None:
    body = {"email": "Ada@Acme.example", "name": "Ada"}
    ada = await sent(client, "POST", "/v1/organisations/acme/users", body, 201)
    assert (ada["organisation_id"], ada["standing"]) == ("acme", "active")
    await refused(client, "POST", "/v1/organisations/first/users", body, 409)
    path = f"/v1/users/{ada['id']}"
    changed = await sent(client, "PATCH", path, {"name": "Ada L.", "language": "fr"})
    assert (changed["name"], changed["language"]) == ("Ada L.", "fr")
    assert (await sent(client, "POST", f"{path}/suspend"))["standing"] == "suspended"
    assert (await sent(client, "POST", f"{path}/resume"))["standing"] == "active"
    assert [one["id"] for one in (await sent(client, "GET", "/v1/organisations/acme/users"))["data"]] == [ada["id"]]
    await sent(client, "DELETE", path)
    await refused(client, "GET", path, None, 404)
    assert (await sent(client, "GET", "/v1/organisations/acme/users"))["data"] == []


async def test_roles_are_given_and_taken(client: httpx.AsyncClient, acme: str) -> None:
    ada = await sent(client, "POST", "/v1/organisations/acme/users", {"email": "ada@acme.example", "name": "Ada"}, 201)
    path = f"/v1/users/{ada['id']}/grants"
    given = await sent(client, "POST", path, {"role": "developer", "tenant_id": "acme-prod"}, 201)
    assert (given["granted_by"], given["level"]) == ("operator token", "tenant")
    await refused(client, "POST", path, {"role": "developer"}, 400)
    await refused(client, "POST", path, {"role": "operator"}, 404)
    await refused(client, "POST", path, {"role": "auditor", "tenant_id": "acme-prod"}, 409)
    await refused(client, "POST", path, {"role": "developer", "tenant_id": "first"}, 404)
    assert (await sent(client, "GET", path))["data"] == [given]
    assert (await sent(client, "GET", "/v1/grants?organisation=acme"))["data"] == [given]
    await sent(client, "DELETE", f"/v1/grants/{given['id']}")
    await refused(client, "DELETE", f"/v1/grants/{given['id']}", None, 404)
    roles = {one["id"]: one for one in (await sent(client, "GET", "/v1/roles"))["data"]}
    assert "keys.write" in roles["developer"]["permissions"]


async def test_the_last_owner_stays(client: httpx.AsyncClient, acme: str) -> None:
    ada = await sent(client, "POST", "/v1/organisations/acme/users", {"email": "ada@acme.example", "name": "Ada"}, 201)
    given = await sent(client, "POST", f"/v1/users/{ada['id']}/grants", {"role": "organisation_owner"}, 201)
    for method, path in (("DELETE", f"/v1/grants/{given['id']}"), ("DELETE", f"/v1/users/{ada['id']}")):
        assert (await refused(client, method, path, None, 409))["code"] == "last_owner"


async def test_an_invitation_is_shown_once(client: httpx.AsyncClient, acme: str) -> None:
    body = {"email": "bob@acme.example", "roles": [{"role": "organisation_owner"}]}
    made = await sent(client, "POST", "/v1/organisations/acme/invitations", body, 201)
    assert made["link"].startswith("inv-parvis_")
    listed = (await sent(client, "GET", "/v1/organisations/acme/invitations"))["data"]
    assert [(one["id"], one["state"], "link" in one) for one in listed] == [(made["id"], "pending", False)]
    withdrawn = await sent(client, "DELETE", f"/v1/organisations/acme/invitations/{made['id']}")
    assert withdrawn["state"] == "withdrawn"
    await refused(client, "DELETE", f"/v1/organisations/first/invitations/{made['id']}", None, 404)


async def test_the_operators_people_are_apart(client: httpx.AsyncClient, acme: str, premises: Any) -> None:
    made = await sent(client, "POST", "/v1/operators", {"email": "op@host.example", "role": "operator"}, 201)
    assert made["link"].startswith("inv-parvis_")
    await refused(client, "POST", "/v1/operators", {"email": "x@host.example", "role": "developer"}, 400)
    await refused(client, "GET", f"/v1/operators/{made['id']}", None, 404)
    assert len((await sent(client, "GET", "/v1/operator_invitations"))["data"]) == 1
    await sent(client, "DELETE", f"/v1/operator_invitations/{made['id']}")
    assert (await sent(client, "GET", "/v1/operators"))["data"] == []


async def test_one_of_the_operators_people_is_suspended_and_removed(client: httpx.AsyncClient, premises: Any) -> None:
    desk = premises.operator_desk()
    for name in ("one", "two"):
        await create_operator(desk, name)
    [one, two] = (await sent(client, "GET", "/v1/operators"))["data"]
    given = await sent(client, "POST", f"/v1/operators/{one['id']}/grants", {"role": "operator"}, 201)
    audits = await sent(client, "POST", f"/v1/operators/{two['id']}/grants", {"role": "operator_auditor"}, 201)
    assert (await sent(client, "GET", f"/v1/operators/{two['id']}/grants"))["data"] == [audits]
    assert (await sent(client, "POST", f"/v1/operators/{two['id']}/suspend"))["standing"] == "suspended"
    assert (await sent(client, "POST", f"/v1/operators/{two['id']}/resume"))["standing"] == "active"
    assert (await sent(client, "GET", f"/v1/operators/{one['id']}"))["email"] == "one@host.example"
    await sent(client, "DELETE", f"/v1/operator_grants/{audits['id']}")
    await sent(client, "DELETE", f"/v1/operators/{two['id']}")
    await refused(client, "DELETE", f"/v1/grants/{given['id']}", None, 404)
    await refused(client, "GET", f"/v1/users/{one['id']}", None, 404)


async def create_operator(desk: Any, name: str) -> None:
    await create_person(desk.store, desk.mint, Realm.OPERATOR, "", f"{name}@host.example", name)


# Keys


async def test_keys_are_listed_by_place_shown_and_changed(client: httpx.AsyncClient, acme: str) -> None:
    body = {"name": "k", "tenant_id": "acme-prod", "models": [CHAT], "tags": ["a"], "schedule": {"every_s": 7_776_000}}
    key = await sent(client, "POST", "/v1/keys", body, 201)
    listed = (await sent(client, "GET", "/v1/keys?organisation=acme"))["data"]
    assert [(one["id"], "key" in one) for one in listed] == [(key["id"], False)]
    assert (await sent(client, "GET", "/v1/keys?tenant=first"))["data"][0]["tenant_id"] == "first"
    await refused(client, "GET", "/v1/keys?tenant=none", None, 404)
    changed = await sent(client, "PATCH", f"/v1/keys/{key['id']}", {"endpoints": ["chat"], "name": "renamed"})
    assert (changed["endpoints"], changed["models"], changed["name"]) == (["chat"], [CHAT], "renamed")
    rotating = await sent(client, "POST", f"/v1/keys/{key['id']}/rotation", {"act": "start"})
    assert rotating["rotation"]["phase"] == "due"
    await sent(client, "DELETE", f"/v1/keys/{key['id']}")
    shown = (await sent(client, "GET", "/v1/keys?tenant=acme-prod&revoked=false"))["data"]
    assert shown == []
    await refused(client, "PATCH", f"/v1/keys/{key['id']}", {"name": "x"}, 409)


# The record


async def test_every_change_is_in_the_record(client: httpx.AsyncClient, acme: str) -> None:
    lines = (await sent(client, "GET", "/v1/audit_logs?organisation=acme"))["data"]
    done = [(line["action"], line["step"], line["objects"]) for line in lines if line["step"] == "intent"]
    assert ("tenant.created", "intent", {"organisation_id": "acme"}) in done
