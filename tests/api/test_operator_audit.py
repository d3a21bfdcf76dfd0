"""The operator reads the record: `/v1/audit_logs`."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from parvis.api.operator.app import make_app

MODEL = {"id": "acme/7b", "engine": "gpu", "engine_model": "m", "context_tokens": 4096, "capabilities": ["chat"]}


@pytest.fixture
async def client(premises: Any, kit: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Who has added a model twice and made a key."""
    async with kit.client_of(make_app(premises.operator_desk()), kit.token) as client:
        assert (await client.post("/v1/models", json=MODEL)).status_code == 201
        assert (await client.post("/v1/models", json=MODEL)).status_code == 409
        key = await client.post("/v1/keys", json={"name": "k", "tenant_id": kit.first_tenant})
        assert key.status_code == 201
        yield client


async def told(client: httpx.AsyncClient, query: str = "") -> list[tuple[str, str, str]]:
    found = (await client.get(f"/v1/audit_logs?{query}")).json()["data"]
    return [(line["step"], line["action"], line["result"]) for line in found]


async def test_the_newest_stands_first(client: httpx.AsyncClient) -> None:
    assert await told(client) == [
        ("outcome", "api_key.created", "ok"),
        ("intent", "api_key.created", ""),
        ("outcome", "model.created", "conflict"),
        ("intent", "model.created", ""),
        ("outcome", "model.created", "ok"),
        ("intent", "model.created", ""),
    ]


async def test_a_line_says_who_did_what_to_what(client: httpx.AsyncClient) -> None:
    key = (await client.get("/v1/keys")).json()["data"]
    outcome = (await client.get("/v1/audit_logs?limit=1")).json()["data"][0]
    assert outcome["actor"] == {"kind": "operator_token", "name": "operator token", "address": "127.0.0.1"}
    assert outcome["objects"]["key_id"] in {one["id"] for one in key}
    assert outcome["details"] == {"fields": "name, tenant_id"}
    assert outcome["request_id"].startswith("req_")
    assert outcome["act_id"] < outcome["id"]


async def test_it_is_narrowed_and_paged(client: httpx.AsyncClient) -> None:
    assert await told(client, "action=model.created&step=outcome") == [
        ("outcome", "model.created", "conflict"),
        ("outcome", "model.created", "ok"),
    ]
    assert len(await told(client, "object=acme/7b")) == 1
    assert len(await told(client, "actor=operator+token")) == 6
    assert await told(client, "actor=somebody") == []
    assert await told(client, "organisation=nobody") == []
    assert await told(client, "until=2026-01-01") == []
    assert len(await told(client, "since=2026-01-01")) == 6
    first = (await client.get("/v1/audit_logs?limit=4")).json()
    assert (first["has_more"], first["next"]) == (True, first["data"][-1]["id"])
    assert len(await told(client, f"after={first['next']}")) == 2
    refused = await client.get("/v1/audit_logs?colour=red")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "unknown_parameter")
