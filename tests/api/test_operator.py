"""The operator's API on a real socket: who gets in, what each verb does, and how it says no."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from parvis.adapters.store.database import READERS
from parvis.api.operator import health
from parvis.api.operator.app import ROUTES, make_app
from parvis.api.web.guarded import permission_of
from parvis.api.web.routes import ActionMissing, PermissionMissing, Route
from parvis.core.money import ZERO, Money
from parvis.core.secret import Secret
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.site import Site

CHAT, EMBED = "smollm2-135m-instruct", "all-minilm-l6-v2"
PRICES = {
    "input_microeuro_per_mtoken": 1_800_000,
    "output_microeuro_per_mtoken": 8_000_000,
    "reasoning_microeuro_per_mtoken": 8_000_000,
}
OPEN = {"/livez", "/readyz"}
GATE = [
    (route.method, route.path.replace("{", "").replace("}", "").replace(":path", ""))
    for route in ROUTES
    if route.path not in OPEN and route.permission is not Permission.SIGN_IN
]
REPLICA = {
    "id": "smollm2-0",
    "engine": "smollm2",
    "kind": "llama.cpp",
    "address": "here",
    "state": "ready",
    "seen": "open",
    "why": "",
    "in_flight": 0,
    "pace": 1.0,
    "first_byte_ms": 0,
    "load": None,
    "cache": "alone",
}
BOOKED = {"open_runs": ["run"], "open_requests": 0}
READY = {"ready": True, "stopping": False, "gateways": ["run"], **BOOKED, "replicas": [REPLICA]}


@pytest.fixture
async def client(premises: Any, kit: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with kit.client_of(make_app(premises.operator_desk()), kit.token) as client:
        yield client


def refusal(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The error of a refusal, once its shape has been checked."""
    assert (response.status_code, list(response.json())) == (status, ["error"]), response.text
    error: dict[str, Any] = response.json()["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert error["code"] == code
    assert response.headers["x-request-id"].startswith("req_")
    return error


# Who gets in


@pytest.mark.parametrize("credential", ["", "Bearer wrong", "Bearer", "Basic dG9rZW4=", "Bearer \u00e9"])
async def test_every_route_demands_the_token(client: httpx.AsyncClient, credential: str) -> None:
    headers = {b"authorization": credential.encode()}
    for method, path in [*GATE, ("GET", "/openapi.json")]:
        response = await client.request(method, path, headers=headers, content=b"not even json")
        refusal(response, 401, "invalid_operator_token")
        assert response.headers["www-authenticate"] == "Bearer"


async def test_a_customers_key_opens_nothing(client: httpx.AsyncClient, premises: Any) -> None:
    headers = {"authorization": f"Bearer {premises.first.text.reveal()}"}
    refusal(await client.get("/v1/keys", headers=headers), 401, "invalid_operator_token")


async def test_a_name_that_is_not_ours_is_refused(client: httpx.AsyncClient) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "10.0.0.1", "", "a:b"):
        refusal(await client.get("/v1/keys", headers={"host": host}), 403, "host_not_allowed")


async def test_loopback_has_many_names(client: httpx.AsyncClient) -> None:
    for host in ("localhost", "LOCALHOST:8002", "127.0.0.1", "127.9.9.9:1", "[::1]:8002"):
        assert (await client.get("/livez", headers={"host": host})).status_code == 200


async def test_the_configured_address_is_ours(premises: Any, kit: Any) -> None:
    desk = replace(premises.operator_desk(), site=Site("10.0.0.1"))
    async with kit.client_of(make_app(desk), kit.token) as client:
        assert (await client.get("/livez", headers={"host": "10.0.0.1:8002"})).status_code == 200


async def test_a_page_of_elsewhere_is_refused(client: httpx.AsyncClient) -> None:
    for origin in ("https://evil.example", "null", "http://localhost:1"):
        refusal(await client.get("/v1/keys", headers={"origin": origin}), 403, "origin_not_allowed")


async def test_our_own_page_is_not(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/keys", headers={"origin": str(client.base_url).rstrip("/")})).status_code == 200


# A route without a permission cannot be served


def test_every_route_that_is_served_has_a_permission(premises: Any) -> None:
    served = make_app(premises.operator_desk()).routes
    assert len(served) == len(ROUTES) + 1
    assert {permission_of(route) for route in served} > {route.permission for route in ROUTES}


def test_a_route_without_a_permission_cannot_be_declared() -> None:
    with pytest.raises(PermissionMissing, match="/open declares no permission"):
        Route("GET", "/open", health.livez, None)  # type: ignore[arg-type]  # the mistake that is caught


def test_a_change_that_the_record_could_not_name_cannot_be_declared() -> None:
    with pytest.raises(ActionMissing, match="POST /open declares no action"):
        Route("POST", "/open", health.livez, Permission.MODELS_WRITE)


def test_a_route_added_past_the_table_is_found() -> None:
    with pytest.raises(PermissionMissing):
        permission_of(APIRoute("/open", health.livez))


# How it says no


async def test_an_unknown_route_has_the_shape_of_errors(client: httpx.AsyncClient) -> None:
    refusal(await client.get("/v1/nothing"), 404, "unknown_route")
    refusal(await client.get("/docs"), 404, "unknown_route")
    refusal(await client.get("/v1/keys/"), 404, "unknown_route")


async def test_a_wrong_verb_names_all_that_work(client: httpx.AsyncClient) -> None:
    response = await client.delete("/v1/models")
    refusal(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET, POST"


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"{", "invalid_json", None),
        (b"{}", "missing_required_parameter", "name"),
        (b'{"name": "a", "colour": 1}', "unknown_parameter", "colour"),
        (b'{"name": 7}', "invalid_value", "name"),
        (b'{"name": "a", "models": []}', "invalid_value", "models"),
        (b'["name"]', "invalid_value", None),
        (b"\xff", "invalid_value", None),
    ],
)
async def test_a_bad_body_is_explained(client: httpx.AsyncClient, body: bytes, code: str, param: str | None) -> None:
    response = await client.post("/v1/keys", content=body, headers={"content-type": "application/json"})
    assert refusal(response, 400, code)["param"] == param


async def test_an_endless_body_is_cut(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b" " * 65_536

    response = await client.post("/v1/keys", content=endless(), headers={"content-type": "application/json"})
    refusal(response, 413, "request_too_large")


async def test_a_bad_query_is_explained(client: httpx.AsyncClient) -> None:
    for query in ("group_by=colour", "group_by=key,key", "since=yesterday", "until=2026-13-01"):
        error = refusal(await client.get(f"/v1/usage?{query}"), 400, "invalid_value")
        assert error["param"] == query.partition("=")[0]
    refusal(await client.get("/v1/usage?colour=red"), 400, "unknown_parameter")


async def test_a_bug_says_nothing_of_itself(premises: Any, kit: Any) -> None:
    def broken() -> str:
        raise RuntimeError("a secret detail")

    desk = replace(premises.operator_desk(), metrics=broken)
    async with kit.client_of(make_app(desk), kit.token) as client:
        response = await client.get("/metrics")
    error = refusal(response, 500, "internal_error")
    assert response.headers["x-request-id"] in error["message"]
    assert "secret" not in response.text


# Health


@pytest.fixture
async def probe(premises: Any, kit: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without any credential."""
    async with kit.client_of(make_app(premises.operator_desk()), "") as probe:
        yield probe


async def test_it_is_ready_when_something_can_be_served(
    client: httpx.AsyncClient, probe: httpx.AsyncClient, premises: Any
) -> None:
    premises.status = READY
    answer = await probe.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})
    told = {"object": "status", **READY, "replicas": [{**REPLICA, "why_code": "", "why_facts": {}}]}
    assert (await client.get("/v1/status")).json() == told


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({"stopping": True, "ready": False}, "The service is stopping."),
        ({"gateways": [], "ready": False}, "No gateway is connected."),
        ({"replicas": [], "ready": False}, "No engine is ready."),
    ],
)
async def test_it_says_why_it_is_not_ready(
    probe: httpx.AsyncClient, premises: Any, status: dict[str, Any], why: str
) -> None:
    premises.status = READY | status
    answer = await probe.get("/readyz")
    assert refusal(answer, 503, "not_ready") == {
        "message": why,
        "type": "service_unavailable_error",
        "param": None,
        "code": "not_ready",
    }
    assert answer.headers["retry-after"] == "1"


async def test_it_is_not_ready_without_its_store(probe: httpx.AsyncClient, premises: Any) -> None:
    premises.status = READY
    busy = [premises.store.database.read(lambda _: time.sleep(health.STORE_S_MAX + 1)) for _ in range(READERS)]
    reading = asyncio.gather(*busy)
    await asyncio.sleep(0)
    assert refusal(await probe.get("/readyz"), 503, "not_ready")["message"] == "The database does not answer."
    await reading
    assert (await probe.get("/readyz")).status_code == 200
    await premises.store.close()
    assert refusal(await probe.get("/readyz"), 503, "not_ready")["message"] == "The database does not answer."


async def test_it_is_alive_whatever_else(probe: httpx.AsyncClient, premises: Any) -> None:
    await premises.store.close()
    premises.status = READY | {"stopping": True, "ready": False}
    answer = await probe.get("/livez")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


async def test_a_probe_learns_nothing_else(probe: httpx.AsyncClient) -> None:
    for path in ("/v1/status", "/metrics", "/openapi.json"):
        refusal(await probe.get(path), 401, "invalid_operator_token")


async def test_metrics_are_prometheus_text(client: httpx.AsyncClient) -> None:
    response = await client.get("/metrics")
    assert response.text == "parvis_requests_total 3\n"
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_it_describes_itself_to_who_may_ask(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()
    assert described["paths"]["/v1/keys"]["post"]["x-permission"] == "keys.write"


# Models


async def test_the_catalogue_is_listed_in_pages(client: httpx.AsyncClient) -> None:
    one = (await client.get("/v1/models?limit=1")).json()
    assert ([model["id"] for model in one["data"]], one["has_more"], one["next"]) == ([EMBED], True, EMBED)
    two = (await client.get("/v1/models", params={"after": one["next"]})).json()
    assert ([model["id"] for model in two["data"]], two["has_more"], two["next"]) == ([CHAT], False, None)


async def test_a_model_is_added_changed_and_announced(client: httpx.AsyncClient, premises: Any) -> None:
    entry = {"id": "acme/7b", "engine": "gpu", "engine_model": "m", "context_tokens": 4096, "capabilities": ["chat"]}
    added = await client.post("/v1/models", json=entry)
    assert (added.status_code, added.json()["created_unix_s"] > 0) == (201, True)
    refusal(await client.post("/v1/models", json=entry), 409, "conflict")
    changed = await client.put("/v1/models/acme/7b", json={**entry, "licence": "MIT"})
    assert changed.json() == {**added.json(), "licence": "MIT"}
    assert (await client.get("/v1/models/acme/7b")).json() == changed.json()
    assert len(premises.announced) == 2


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"colour": "red"}, "unknown_parameter", "colour"),
        ({"context_tokens": "many"}, "invalid_value", "context_tokens"),
        ({"capabilities": ["sing"]}, "invalid_value", "capabilities[0]"),
        ({"aliases": [EMBED]}, "invalid_model", None),
        ({"id": "other"}, "invalid_value", "id"),
    ],
)
async def test_an_unsound_entry_changes_nothing(
    client: httpx.AsyncClient, premises: Any, change: dict[str, Any], code: str, param: str | None
) -> None:
    before = (await client.get(f"/v1/models/{CHAT}")).json()
    entry = {name: value for name, value in before.items() if name != "object"}
    response = await client.put(f"/v1/models/{CHAT}", json={**entry, **change})
    assert refusal(response, 400, code)["param"] == param
    assert (await client.get(f"/v1/models/{CHAT}")).json() == before
    assert premises.announced == []


async def test_apply_shows_the_diff_and_then_makes_it(client: httpx.AsyncClient, premises: Any) -> None:
    wanted = {"models": [{"id": CHAT, "state": "deprecated"}, {"id": EMBED}]}
    dry = (await client.post("/v1/models/apply", json={**wanted, "dry_run": True})).json()
    assert [change["kind"] for change in dry["data"]] == ["change", "same"]
    assert dry["data"][0]["fields"] == [{"name": "state", "before": "production", "after": "deprecated"}]
    assert (dry["applied"], premises.announced) == (False, [])
    assert (await client.post("/v1/models/apply", json=wanted)).json() == {**dry, "applied": True}
    again = (await client.post("/v1/models/apply", json=wanted)).json()
    assert [change["kind"] for change in again["data"]] == ["same", "same"]
    assert len(premises.announced) == 1


async def test_a_model_that_nobody_knows_is_not_found(client: httpx.AsyncClient) -> None:
    refusal(await client.get("/v1/models/gpt"), 404, "model_not_found")
    twice = {"models": [{"id": CHAT}, {"id": CHAT}]}
    refusal(await client.post("/v1/models/apply", json=twice), 400, "invalid_model")


# Keys


async def test_a_key_is_made_shown_once_and_revoked(client: httpx.AsyncClient, premises: Any, kit: Any) -> None:
    form = {"name": "notebook", "tenant_id": kit.first_tenant, "models": ["default"]}
    made = (await client.post("/v1/keys", json=form)).json()
    assert made["key"].startswith(f"sk-parvis_{made['id']}_")
    assert made["models"] == [CHAT]
    listed = (await client.get("/v1/keys", params={"tenant": kit.first_tenant})).json()
    assert made["id"] in [key["id"] for key in listed["data"]]
    assert "digest" not in str(listed)
    assert made["key"] not in str(listed)
    revoked = (await client.delete(f"/v1/keys/{made['id']}")).json()
    assert revoked == {"object": "key", "id": made["id"], "active": False}
    assert len(premises.announced) == 2


async def test_of_two_tenants_one_must_be_named(client: httpx.AsyncClient) -> None:
    refusal(await client.post("/v1/keys", json={"name": "a"}), 400, "invalid_value")
    refusal(await client.post("/v1/keys", json={"name": "a", "tenant_id": "nobody"}), 404, "not_found")
    refusal(await client.delete("/v1/keys/nothing"), 404, "not_found")
    unknown = {"name": "a", "tenant_id": "other", "models": ["gpt"]}
    refusal(await client.post("/v1/keys", json=unknown), 400, "model_not_found")


# Money


async def test_prices_are_appended_never_changed(client: httpx.AsyncClient, premises: Any) -> None:
    added = (await client.post("/v1/prices", json={**PRICES, "version": "2026"})).json()
    assert added["per_mtoken"] == {"input": "1.8 €", "cached": "1.8 €", "output": "8 €", "reasoning": "8 €"}
    later = {**PRICES, "version": "later", "valid_from": "2999-01-01", "model_id": CHAT}
    assert (await client.post("/v1/prices", json=later)).status_code == 201
    different = {**PRICES, "version": "2026", "input_microeuro_per_mtoken": 1}
    refusal(await client.post("/v1/prices", json=different), 409, "conflict")
    in_force = {p["version"]: p["in_force"] for p in (await client.get("/v1/prices")).json()["data"]}
    assert in_force == {"first": False, "2026": True, "later": False}
    assert len(premises.announced) == 2


async def test_a_price_is_a_whole_number(client: httpx.AsyncClient) -> None:
    for price in (-1, 1.5, "1", True, 10**13, None):
        response = await client.post("/v1/prices", json={**PRICES, "output_microeuro_per_mtoken": price})
        assert refusal(response, 400, "invalid_value")["param"] == "output_microeuro_per_mtoken"


async def test_a_price_needs_a_model_that_exists(client: httpx.AsyncClient) -> None:
    refusal(await client.post("/v1/prices", json={**PRICES, "model_id": "gpt"}), 404, "not_found")


async def test_credit_is_given_once_for_each_reference(client: httpx.AsyncClient) -> None:
    form = {"tenant_id": "other", "euro": "200.000000000001", "reference": "order 7"}
    for _ in range(2):
        done = (await client.post("/v1/credits", json=form)).json()
        assert done["balance"] == {"text": "200.000000000001 €", "pico_euro": 200_000_000_000_001}
    refusal(await client.post("/v1/credits", json={**form, "euro": "1"}), 409, "conflict")
    accounts = (await client.get("/v1/balances")).json()
    assert {a["tenant_id"]: a["balance"]["pico_euro"] for a in accounts["data"]}["other"] == 200_000_000_000_001
    assert accounts["house"]["world:allowance"]["text"] == "-200.000000000001 €"


async def test_what_is_no_amount_is_refused(client: httpx.AsyncClient) -> None:
    for euro in ("-1", "0", "1e9", "NaN", "1.0000000000001", "", " 1", 5):
        response = await client.post("/v1/credits", json={"tenant_id": "other", "euro": euro})
        refusal(response, 400, "invalid_value")


async def test_the_books_are_checked(client: httpx.AsyncClient, premises: Any, kit: Any) -> None:
    await premises.use(premises.first, [kit.record(premises.first, 1)])
    assert (await client.get("/v1/check")).json() == {"object": "check", "ok": True, "differences": []}


# Usage


async def test_a_report_and_its_total_agree(client: httpx.AsyncClient, premises: Any, kit: Any) -> None:
    records = [kit.record(premises.first, n, day=n % 3, model=(CHAT, EMBED)[n % 2]) for n in range(1, 9)]
    await premises.use(premises.first, records)
    await premises.use(premises.other, [kit.record(premises.other, 1)])
    due = sum((Money(r.settled.billed_pico_euro) for r in records), ZERO)
    for group_by in ("", "key", "model", "day", "key,model,day"):
        report = (await client.get("/v1/usage", params={"group_by": group_by, "tenant": kit.first_tenant})).json()
        assert report["total"]["billed"] == {"text": str(due), "pico_euro": due.pico_euro}
        assert sum(row["billed"]["pico_euro"] for row in report["data"]) == due.pico_euro
        assert all(list(row["group"]) == [g for g in group_by.split(",") if g] for row in report["data"])
    everyone = (await client.get("/v1/usage?group_by=tenant")).json()
    assert {row["group"]["tenant"]: row["requests"] for row in everyone["data"]} == {"first": 8, "other": 1}


async def test_a_report_has_bounds(client: httpx.AsyncClient, premises: Any, kit: Any) -> None:
    await premises.use(premises.first, [kit.record(premises.first, n, day=n) for n in range(1, 5)])
    days = (await client.get("/v1/usage?group_by=day")).json()["data"]
    second, fourth = days[1]["group"]["day"], days[3]["group"]["day"]
    part = (await client.get("/v1/usage", params={"since": second, "until": f"{fourth}T00:00:00Z"})).json()
    assert part["total"]["requests"] == 2


async def test_requests_are_paged_newest_first(client: httpx.AsyncClient, premises: Any, kit: Any) -> None:
    await premises.use(premises.first, [kit.record(premises.first, n) for n in range(1, 6)])
    seen, after = [], None
    while True:
        page = (await client.get("/v1/requests", params={"limit": 2} | ({"after": after} if after else {}))).json()
        seen += page["data"]
        after = page["next"]
        assert page["has_more"] == (after is not None)
        if after is None:
            break
    assert [request["id"] for request in seen] == [f"req_first_{n:04d}" for n in (5, 4, 3, 2, 1)]
    assert (await client.get("/v1/requests/req_first_0003")).json() == seen[2]
    assert seen[2]["replica_id"] == "smollm2-0"
    refusal(await client.get("/v1/requests/req_nothing"), 404, "not_found")
    refusal(await client.get("/v1/requests?after=nonsense"), 400, "invalid_value")


def test_the_desk_does_not_print_its_token(premises: Any) -> None:
    assert "the operator's token" not in repr(premises.operator_desk())
    assert isinstance(premises.operator_desk().token, Secret)
