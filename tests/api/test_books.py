"""The operator's routes about the books: orders, refunds, what gateways hold, and what could not be booked."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from parvis.api.operator.app import make_app
from parvis.core.money import Money
from parvis.testing.store_suite import lent, usage_record

PICO = "0.000000000001"


@pytest.fixture
async def client(premises: Any, kit: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with kit.client_of(make_app(premises.operator_desk()), kit.token) as client:
        yield client


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


async def test_an_order_is_credited_once(client: httpx.AsyncClient) -> None:
    form = {"tenant_id": "other", "euro": "20", "order_id": "o1", "expires_at": "2999-01-01", "note": "invoice 8"}
    for _ in range(2):
        made = await client.post("/v1/orders", json=form)
        assert made.status_code == 201
        assert made.json()["unspent"]["text"] == "20 €"
    assert code(await client.post("/v1/orders", json={**form, "euro": "21"})) == (409, "conflict")
    assert code(await client.post("/v1/orders", json={**form, "expires_at": "2001-01-01"})) == (400, "invalid_value")
    await client.post("/v1/orders", json={"tenant_id": "first", "euro": "1", "order_id": "o2"})
    page = (await client.get("/v1/orders", params={"limit": 1})).json()
    assert ([one["id"] for one in page["data"]], page["next"]) == (["o1"], "o1")
    rest = (await client.get("/v1/orders", params={"after": "o1"})).json()
    assert ([one["id"] for one in rest["data"]], rest["next"]) == (["o2"], None)
    mine = (await client.get("/v1/orders", params={"tenant": "other"})).json()["data"]
    assert [(one["id"], one["expires_at"]) for one in mine] == [("o1", "2999-01-01T00:00:00.000Z")]


async def test_a_refund_gives_back_what_was_billed(client: httpx.AsyncClient, premises: Any, kit: Any) -> None:
    await premises.use(premises.other, [kit.record(premises.other, 1)])
    form = {"tenant_id": "other", "euro": PICO, "reference": "r1", "note": "wrong model"}
    for _ in range(2):
        assert (await client.post("/v1/refunds", json=form)).json()["amount"]["pico_euro"] == 1
    assert code(await client.post("/v1/refunds", json={**form, "reference": "r2", "euro": "999"})) == (409, "conflict")
    assert code(await client.post("/v1/refunds", json={"tenant_id": "other", "euro": PICO}))[0] == 400
    assert (await client.get("/v1/check")).json()["ok"]


async def test_a_run_is_lost_only_without_its_journal(client: httpx.AsyncClient, premises: Any) -> None:
    await lent(premises.store, "other", "gw_1", Money(7), "a")
    premises.status["open_runs"] = ["gw_1"]
    loss = {"run": "gw_1", "note": "its disk burnt"}
    [run] = (await client.get("/v1/ledger/runs")).json()["data"]
    assert (run["id"], run["journal_at_hand"], run["connected"]) == ("gw_1", True, False)
    assert code(await client.post("/v1/ledger/losses", json=loss)) == (409, "conflict")
    premises.status["open_runs"] = []
    for dry_run in (True, False):
        done = (await client.post("/v1/ledger/losses", json={**loss, "dry_run": dry_run})).json()
        assert [(one["account"], one["amount"]["pico_euro"]) for one in done["returned"]] == [("tenant:other", 7)]
    assert (await client.get("/v1/ledger/runs")).json()["data"] == []


async def test_what_was_set_aside_is_a_difference_until_somebody_looks(
    client: httpx.AsyncClient, premises: Any
) -> None:
    unchecked = (await client.get("/v1/check/last")).json()
    assert (unchecked["ok"], unchecked["checked_at"]) == (True, None)
    await premises.store.ingest("gw_1", 1, [usage_record(7, "nobody")])
    await premises.store.check_new(0)
    last = (await client.get("/v1/check/last")).json()
    assert not last["ok"]
    assert "req_000007" in last["differences"][0]
    [one] = (await client.get("/v1/ledger/unbookable")).json()["data"]
    assert (one["id"], one["run"], one["tenant_id"], one["note"]) == ("req_000007", "gw_1", "nobody", "")
    said = {"request_id": "req_000007", "note": "of a tenant that was never here"}
    assert (await client.post("/v1/ledger/dismissals", json=said)).status_code == 200
    assert code(await client.post("/v1/ledger/dismissals", json={**said, "request_id": "x"})) == (404, "not_found")
    assert (await client.get("/v1/check")).json()["ok"]
