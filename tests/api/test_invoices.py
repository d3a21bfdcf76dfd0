"""Receipts and invoices at both doors and at the command line: who reads what, what is refused and how it is said."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from parvis.api.console.app import make_app as make_console
from parvis.api.operator.app import make_app as make_operator
from parvis.app.press import LazyPress
from parvis.cli.main import main
from parvis.core.money import Money
from parvis.domain.identity.place import Target
from parvis.domain.identity.role import Role
from parvis.flows.personal_tokens import make_token
from parvis.flows.receipt_file import checked
from parvis.flows.receipts import Notary
from parvis.testing.en16931 import attached, faults

COMPANY = {"name": "Parvis SAS", "street": "1 rue", "postcode": "75002", "city": "Paris", "vat_id": "FR96552100554"}
SELLER = {"party": COMPANY, "iban": "FR7630006000011234567890189", "notes": {"PMT": "40 €"}}
BUYER = {"party": {**COMPANY, "name": "Buyer"}, "language": "en"}
DAY_MS = 86_400_000
MONTH = f"{datetime.fromtimestamp(1_784_000_000, UTC):%Y-%m}"
REQUEST = "req_first_0001"


@pytest.fixture
async def house(premises: Any, kit: Any) -> Any:
    """Some requests are booked, and not signed yet; it is the month after."""
    await premises.use(premises.first, [kit.record(premises.first, number) for number in range(1, 4)])
    await premises.use(premises.other, [kit.record(premises.other, 1)])
    premises.clock.ahead_ms = 0
    return premises


async def seal(premises: Any) -> None:
    desk = premises.operator_desk()
    await Notary(desk.store, desk.signer, desk.clock, desk.randomness).seal()


@pytest.fixture
async def operator(house: Any, kit: Any) -> AsyncIterator[httpx.AsyncClient]:
    desk = replace(house.operator_desk(), press=LazyPress())
    async with kit.client_of(make_operator(desk), kit.token) as client:
        yield client


@pytest.fixture
async def customer(house: Any, kit: Any) -> AsyncIterator[httpx.AsyncClient]:
    desk = replace(house.console_desk(), press=LazyPress())
    async with kit.client_of(make_console(desk), house.first.text.reveal()) as client:
        yield client


async def bearing(premises: Any, role: Role, place: Target) -> dict[str, str]:
    """The headers of somebody's personal token."""
    person = await premises.person(f"{role}@acme.example", (role, place))
    desk = premises.console_desk()
    made = await make_token(desk.store, desk.mint, person, "t", desk.clock.unix_ms() + DAY_MS)
    return {"authorization": f"Bearer {made.text.reveal()}"}


async def said(answer: Awaitable[httpx.Response], status: int = 200) -> Any:
    response = await answer
    assert response.status_code == status, response.text
    return response.json()


async def closed(operator: httpx.AsyncClient, premises: Any) -> str:
    """The number of the invoice of the month."""
    await seal(premises)
    organisation = premises.first.key.organisation_id
    await said(operator.put("/v1/seller", json=SELLER))
    await said(operator.put(f"/v1/organisations/{organisation}/buyer", json=BUYER))
    made = await said(operator.post(f"/v1/organisations/{organisation}/invoices", json={"month": MONTH}), 201)
    number: str = made["id"]
    return number


async def test_a_key_gets_the_receipts_of_its_tenant_and_checks_them(customer: httpx.AsyncClient, house: Any) -> None:
    early = await customer.get(f"/v1/receipts/{REQUEST}")
    assert (early.status_code, early.headers["retry-after"]) == (404, "1")
    assert early.json()["error"]["code"] == "receipt_pending"
    await seal(house)
    file = (await customer.get(f"/v1/receipts/{REQUEST}")).content
    assert checked(file, house.operator_desk().signer.public_key).row["request_id"] == REQUEST
    for hidden in ("req_other_0001", "req_nothing"):
        assert (await customer.get(f"/v1/receipts/{hidden}")).status_code == 404


async def test_an_invoice_is_issued_read_and_fetched(operator: httpx.AsyncClient, house: Any) -> None:
    number = await closed(operator, house)
    whole = await said(operator.get(f"/v1/invoices/{number}"))
    assert sum(line["cents"] for line in whole["lines"]) == whole["totals"]["lines"]
    billed = sum(line["amount"]["pico_euro"] for line in whole["lines"])
    assert whole["exact"]["pico_euro"] == billed
    assert [one["id"] for one in (await said(operator.get("/v1/invoices")))["data"]] == [number]
    xml = (await operator.get(f"/v1/invoices/{number}/xml")).content
    assert faults(xml) == []
    pdf = await operator.get(f"/v1/invoices/{number}/pdf?language=fr")
    assert (pdf.headers["content-type"], attached(pdf.content)) == ("application/pdf", xml)
    document = await said(operator.get(f"/v1/invoices/{number}/document"))
    assert document["document"]["invoice"]["number"] == number
    organisation = house.first.key.organisation_id
    again = await said(operator.post(f"/v1/organisations/{organisation}/invoices", json={"month": MONTH}), 409)
    assert "closed" in again["error"]["message"]


async def test_what_cannot_be_closed_says_why(operator: httpx.AsyncClient, house: Any) -> None:
    organisation = house.first.key.organisation_id
    path = f"/v1/organisations/{organisation}"
    close = f"{path}/invoices"
    assert (await said(operator.post(close, json={"month": MONTH}), 400))["error"]["code"] == "party_missing"
    await said(operator.get("/v1/seller"), 404)
    await said(operator.get(f"{path}/buyer"), 404)
    wrong = {**SELLER, "party": {**COMPANY, "vat_id": ""}}
    assert "vat_id" in (await said(operator.put("/v1/seller", json=wrong), 400))["error"]["message"]
    await said(operator.put("/v1/seller", json=SELLER))
    assert (await said(operator.post(close, json={"month": MONTH}), 400))["error"]["code"] == "party_missing"
    taxed = {**BUYER, "tax": {"category": "S", "rate": 0}}
    assert "standard" in (await said(operator.put(f"{path}/buyer", json=taxed), 400))["error"]["message"]
    await said(operator.put(f"{path}/buyer", json=BUYER))
    assert (await said(operator.get(f"{path}/buyer")))["tax"]["rate"] == 2000
    assert (await said(operator.post(close, json={"month": MONTH}), 400))["error"]["code"] == "nothing_to_bill"
    for month in ("2999-01", "2026-13"):
        await said(operator.post(close, json={"month": month}), 400)


async def test_refunds_become_a_credit_note(operator: httpx.AsyncClient, house: Any) -> None:
    number = await closed(operator, house)
    notes = f"/v1/invoices/{number}/credit_notes"
    assert (await said(operator.post(notes, json={}), 400))["error"]["code"] == "nothing_to_credit"
    whole = await said(operator.get(f"/v1/invoices/{number}"))
    tenant = house.first.key.tenant_id
    line = next(line for line in whole["lines"] if line["tenant_id"] == tenant)
    await house.store.refund(tenant, Money(line["amount"]["pico_euro"]), "ticket", "broken")
    made = await said(operator.post(notes, json={}), 201)
    assert (made["kind"], made["about"]) == ("credit_note", number)


async def test_customers_read_the_invoices_of_their_organisation(
    customer: httpx.AsyncClient, operator: httpx.AsyncClient, house: Any
) -> None:
    number = await closed(operator, house)
    organisation, tenant = house.first.key.organisation_id, house.first.key.tenant_id
    reader = await bearing(house, Role.BILLING_READER, Target(organisation))
    listed = await said(customer.get("/v1/invoices", headers=reader))
    assert [one["id"] for one in listed["data"]] == [number]
    assert (await customer.get(f"/v1/invoices/{number}/pdf", headers=reader)).content.startswith(b"%PDF")
    await said(customer.get("/v1/invoices?organisation=another", headers=reader), 404)
    narrow = await bearing(house, Role.TENANT_OWNER, Target(organisation, tenant))
    await said(customer.get("/v1/invoices", headers=narrow), 403)
    await said(customer.get(f"/v1/invoices/{number}", headers=narrow), 403)
    await said(customer.get(f"/v1/invoices/{number}"), 403)


# Commands


@pytest.fixture
async def parvis(house: Any, kit: Any, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Result]]]:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "operator.token").write_text(kit.token)
    desk = replace(house.operator_desk(), press=LazyPress())
    async with kit.listening(make_operator(desk)) as address:
        env = {"PARVIS_HOME": str(home), "PARVIS_OPERATOR__LISTEN": address.removeprefix("http://"), "COLUMNS": "250"}

        async def command(*words: str) -> Result:
            return await asyncio.to_thread(CliRunner().invoke, main, words, env=env)

        yield command


async def good(command: Awaitable[Result]) -> str:
    result = await command
    assert result.exit_code == 0, result.output
    return result.stdout


async def test_a_receipt_is_fetched_and_checked_offline(parvis: Any, house: Any, tmp_path: Path) -> None:
    await seal(house)
    file = tmp_path / "receipt.json"
    await good(parvis("receipt", "get", REQUEST, "--out", str(file)))
    assert (await good(parvis("receipt", "get", REQUEST))).encode() == file.read_bytes()
    key = (await good(parvis("access", "key"))).strip()
    assert "holds" in await good(parvis("receipt", "verify", str(file), "--key", key))
    assert json.loads(await good(parvis("receipt", "verify", str(file), "--key", key, "--json")))["tenant_id"]
    file.write_bytes(file.read_bytes().replace(b'"output":3', b'"output":2'))
    broken = await parvis("receipt", "verify", str(file), "--key", key)
    assert (broken.exit_code, "tokens cost" in broken.stderr) == (1, True)


async def test_months_are_closed_by_a_command(parvis: Any, house: Any, tmp_path: Path) -> None:
    await seal(house)
    organisation = house.first.key.organisation_id
    for name, form in (("seller", SELLER), ("buyer", BUYER)):
        (tmp_path / name).write_text(json.dumps(form))
    await good(parvis("invoice", "seller", str(tmp_path / "seller")))
    await good(parvis("invoice", "buyer", organisation, str(tmp_path / "buyer")))
    assert COMPANY["name"] in await good(parvis("invoice", "seller"))
    [made] = json.loads(await good(parvis("invoice", "close", MONTH, "-o", "json")))
    assert made["organisation_id"] == organisation
    assert made["id"] in await good(parvis("invoice", "list", "--org", organisation))
    assert "total" in await good(parvis("invoice", "get", made["id"]))
    for kind in ("pdf", "xml", "json"):
        out = tmp_path / f"file.{kind}"
        await good(parvis("invoice", "get", made["id"], "--form", kind, "--language", "fr", "--out", str(out)))
        assert out.stat().st_size > 500
    again = await parvis("invoice", "close", MONTH)
    assert (again.exit_code, "has closed" in again.stderr) == (1, True)
    assert (await parvis("invoice", "credit", made["id"])).exit_code == 1
