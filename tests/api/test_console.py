"""The customers' API: a key sees its tenant, and nothing of any other."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from parvis.api.console.app import ROUTES, make_app
from parvis.domain.identity.principal import ANYBODY
from parvis.flows.keys import revoke_key

CHAT, EMBED = "smollm2-135m-instruct", "all-minilm-l6-v2"


@pytest.fixture
async def client(premises: Any, kit: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with kit.client_of(make_app(premises.console_desk()), premises.first.text.reveal()) as client:
        yield client


@pytest.fixture
async def other(premises: Any, kit: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with kit.client_of(make_app(premises.console_desk()), premises.other.text.reveal()) as client:
        yield client


@pytest.fixture
async def used(premises: Any, kit: Any) -> None:
    await premises.use(premises.first, [kit.record(premises.first, n) for n in range(1, 4)])
    await premises.use(premises.other, [kit.record(premises.other, n, model=EMBED) for n in range(1, 3)])


@pytest.mark.parametrize("credential", ["", "Bearer the operator's token", "Bearer sk-parvis_x"])
async def test_every_route_demands_a_key(client: httpx.AsyncClient, credential: str) -> None:
    for route in ROUTES:
        if ANYBODY.may_somewhere(route.permission):
            continue
        response = await client.request(route.method, route.path, headers={"authorization": credential})
        assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")
        assert response.headers["x-should-retry"] == "false"


async def test_a_revoked_key_is_out_at_once(client: httpx.AsyncClient, premises: Any) -> None:
    assert (await client.get("/v1/me")).status_code == 200
    await revoke_key(premises.store, premises.first.key.key_id)
    assert (await client.get("/v1/me")).status_code == 401


async def test_it_knows_who_asks(client: httpx.AsyncClient, premises: Any, kit: Any) -> None:
    me = (await client.get("/v1/me")).json()
    assert (me["tenant_id"], me["credit_unlimited"], me["balance"]["text"]) == (kit.first_tenant, True, "0 €")
    assert me["key"]["id"] == premises.first.key.key_id
    assert "digest" not in str(me)


@pytest.mark.usefixtures("used")
async def test_usage_is_the_tenants_own(client: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
    mine = (await client.get("/v1/usage?group_by=key,model,day")).json()
    theirs = (await other.get("/v1/usage?group_by=model")).json()
    assert mine["total"]["requests"] == 3
    assert [(row["group"]["model"], row["requests"]) for row in theirs["data"]] == [(EMBED, 2)]


@pytest.mark.parametrize("query", ["group_by=tenant", "tenant=other"])
async def test_no_other_tenant_can_be_named(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"/v1/usage?{query}")).status_code == 400
    assert (await client.get(f"/v1/requests?{query}")).status_code == 400


@pytest.mark.usefixtures("used")
async def test_requests_are_the_tenants_own(client: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
    first = (await client.get("/v1/requests?limit=2")).json()
    assert [record["id"] for record in first["data"]] == ["req_first_0003", "req_first_0002"]
    rest = (await client.get("/v1/requests", params={"after": first["next"]})).json()
    assert ([record["id"] for record in rest["data"]], rest["next"]) == (["req_first_0001"], None)
    assert (await client.get("/v1/requests/req_first_0001")).json() == rest["data"][0]
    assert (await other.get("/v1/requests/req_first_0001")).status_code == 404
    theirs = (await other.get("/v1/requests", params={"after": first["next"]})).json()
    assert {record["tenant_id"] for record in theirs["data"]} == {"other"}


@pytest.mark.usefixtures("used")
async def test_a_record_names_models_never_machines(client: httpx.AsyncClient) -> None:
    record = (await client.get("/v1/requests")).json()["data"][0]
    assert record["model"] == CHAT
    assert not {"replica_id", "held"} & record.keys()


async def test_models_are_those_of_the_key_with_their_prices(
    client: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    assert [model["id"] for model in (await client.get("/v1/models")).json()["data"]] == [EMBED, CHAT]
    assert [model["id"] for model in (await other.get("/v1/models")).json()["data"]] == [EMBED]
    card = (await client.get("/v1/models/default")).json()
    assert (card["id"], card["prices"]["per_mtoken"]["reasoning"]) == (CHAT, "21 €")
    assert not {"engine", "engine_model"} & card.keys()
    missing = await other.get(f"/v1/models/{CHAT}")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


async def test_a_page_of_elsewhere_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/me", headers={"origin": "https://evil.example"})).status_code == 403
    assert (await client.get("/v1/me", headers={"host": "evil.example"})).status_code == 403
