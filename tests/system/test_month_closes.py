"""A month of generated traffic closes into invoices that an independent judge accepts; their lines are the receipts.

Three tenants of two organisations, their requests booked by the ledger as ingest books them, some of September only
after September was closed. Every receipt is checked offline and added up apart from all of our own sums; what comes out
must be what the invoices say, line by line and to the pico-euro, each line rounded once.
"""

import asyncio
import os
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import and_

from parvis.adapters.invoices.facturx import FacturX
from parvis.adapters.keyring.signing_key import Ed25519Signer
from parvis.adapters.store import statements
from parvis.adapters.store.store import SqlStore
from parvis.adapters.store.tables import usage
from parvis.core.clock import SystemClock
from parvis.core.errors import BadRequest, Conflict, ServerBug
from parvis.core.money import Money
from parvis.core.tokens import TokenCount
from parvis.domain.billing import invoice as billing_invoice
from parvis.domain.billing.invoice import Invoice
from parvis.domain.billing.issued import Statement
from parvis.domain.billing.party import Buyer, Party, Seller
from parvis.domain.billing.price import PriceList, cost
from parvis.domain.billing.statement import LineKind, total_of
from parvis.domain.billing.tax import Tax, TaxCategory
from parvis.domain.metering.records import Operation, Outcome, Settled, Started, UsageRecord
from parvis.domain.vault.signed_document import verified
from parvis.flows import closing
from parvis.flows.closing import Bookkeeper, close_month, credit
from parvis.flows.receipt_file import checked
from parvis.flows.receipts import Notary, receipt_of
from parvis.flows.statement_file import invoice_of, write_party
from parvis.flows.statement_store import SELLER as SELLERS_ID
from parvis.testing.empty_store import empty_store
from parvis.testing.en16931 import attached, faults, french_faults
from parvis.testing.store_suite import lent

REQUESTS, FEW, LATE = 1_800, 160, 40
"""Of the whole show, and where something else is looked at."""
SEED = 14
SEPTEMBER, OCTOBER = 202609, 202610
SIGNER = Ed25519Signer(b"seed" * 8)
TENANTS = {"prod": "acme", "research": "acme", "town": "city"}
MODELS = ("acme/7b", "acme/24b")
LISTS = (
    PriceList("2026-07", "*", 0, 900_001, 90_003, 4_000_007, 4_100_009),
    PriceList("2026-09", "acme/24b", 1, 1_100_003, 110_007, 5_000_011, 5_000_013),
)
COMPANY = Party("Ville de Lyon", "1 place de la Mairie", "69001", "Lyon", siren="130025265", vat_id="FR40130025265")
ABROAD = Party("Example GmbH", "Hauptstraße 1", "10115", "Berlin", "DE", vat_id="DE123456789")
NOTES = {"PMD": "Pénalités : trois fois le taux légal.", "PMT": "Indemnité : 40 €.", "AAB": "Pas d'escompte."}
SELLER = Seller(COMPANY, "FR7630006000011234567890189", "AGRIFRPP", NOTES)
BUYERS = {"acme": Buyer(COMPANY), "city": Buyer(ABROAD, Tax(TaxCategory.REVERSE_CHARGE, 0), "en", reference="R-1")}
Key = tuple[str, str, str, int, str]


class Frozen(SystemClock):
    """A clock that a test sets."""

    now = datetime(2026, 10, 1, 6, tzinfo=UTC)

    def unix_ms(self) -> int:
        return int(self.now.timestamp()) * 1000


class House(NamedTuple):
    """A store with prices and parties, and what is needed to close months in it."""

    store: SqlStore
    clock: Frozen
    notary: Notary
    books: Bookkeeper


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock = Frozen()
    store = SqlStore(empty_store(tmp_path / "store.db"), clock)
    await store.open()
    for prices in LISTS:
        await store.add_prices(prices)
    for organisation, buyer in BUYERS.items():
        await store.create_organisation(organisation, organisation)
        await store.put_party(organisation, write_party(buyer))
    for tenant, organisation in TENANTS.items():
        await store.create_tenant(tenant, organisation, tenant.title(), credit_unlimited=True)
    await store.put_party(SELLERS_ID, write_party(SELLER))
    yield House(store, clock, Notary(store, SIGNER, clock, os.urandom), Bookkeeper(store, SIGNER, clock))
    await store.close()


def requests(drawn: random.Random, count: int, first: datetime, last: datetime, name: str) -> list[UsageRecord]:
    """Finished requests between two moments: most billed in full, some in part, some not at all."""
    found = []
    for number in range(count):
        tenant, model = drawn.choice(sorted(TENANTS)), drawn.choice(MODELS)
        prices = LISTS[1] if model == LISTS[1].model_id and drawn.random() < 0.5 else LISTS[0]
        tokens = TokenCount(*(drawn.randrange(5_000) for _ in TokenCount._fields))
        due = cost(tokens, prices).pico_euro
        billed = drawn.choices((due, drawn.randrange(due + 1), 0), (96, 3, 1))[0]
        started_unix_ms = drawn.randrange(int(first.timestamp()) * 1000, int(last.timestamp()) * 1000)
        started = Started(
            f"req_{name}{number:06d}",
            TENANTS[tenant],
            tenant,
            "key",
            model,
            Operation.CHAT,
            "replica",
            prices.version,
            due,
            streamed=False,
            started_unix_ms=started_unix_ms,
        )
        outcome = Outcome.COMPLETED if billed == due else Outcome.IN_DOUBT
        found.append(
            UsageRecord(
                started,
                Settled(
                    started.request_id,
                    outcome,
                    tokens,
                    billed_pico_euro=billed,
                    written_off_pico_euro=due - billed,
                    first_byte_ms=20,
                    total_ms=900,
                ),
            )
        )
    return found


async def book(house: House, run: str, records: list[UsageRecord]) -> None:
    """As ingest does, some at a time; then the receipts are signed."""
    for tenant in TENANTS:
        await lent(house.store, tenant, run, Money.euro(1_000), f"{run}:{tenant}")
    for start in range(0, len(records), 250):
        await house.store.ingest(run, start, records[start : start + 250])
    while await house.notary.seal():
        pass


async def an_autumn(house: House, count: int = FEW) -> list[Statement]:
    """September is closed; then some of it is booked late; then October is closed, for both organisations."""
    drawn = random.Random(SEED)
    days = [datetime(2026, month, 1, tzinfo=UTC) for month in (9, 10, 11)]
    await book(house, "run1", requests(drawn, count // 3, days[0], days[1], "s"))
    issued = [await close_month(house.books, organisation, SEPTEMBER) for organisation in BUYERS]
    house.clock.now = datetime(2026, 11, 2, 9, tzinfo=UTC)
    await book(house, "run2", requests(drawn, LATE, days[0], days[1], "l"))
    await book(house, "run3", requests(drawn, count - count // 3, days[1], days[2], "o"))
    await book(house, "run4", requests(drawn, 20, days[2], house.clock.now, "n"))
    return issued + [await close_month(house.books, organisation, OCTOBER) for organisation in BUYERS]


# ------------------------------------------------------------------------------------------------------ the judge


async def receipts(house: House) -> list[dict[str, Any]]:
    """What every receipt says, each checked offline."""
    found: list[dict[str, Any]] = []
    after = None
    while True:
        page = await house.store.requests(None, after, 100)
        files = await asyncio.gather(*(receipt_of(house.store, one.started.request_id) for one in page.records))
        found += [checked(file, SIGNER.public_key).row for file in files]
        if page.after is None:
            return found
        after = page.after


def added_up(rows: Iterable[dict[str, Any]]) -> dict[Key, int]:
    """What receipts come to, in pico-euro, by tenant, model, price list, month and class."""
    sums: defaultdict[Key, int] = defaultdict(int)
    for row in rows:
        started = datetime.fromtimestamp(row["started_unix_ms"] / 1000, UTC)
        key = (row["tenant_id"], row["model"], row["price_version"], started.year * 100 + started.month)
        for name, count in row["tokens"].items():
            sums[*key, name] += count * row["microeuro_per_mtoken"][name]
        sums[*key, "written_off"] -= int(row["written_off_pico_euro"])
        sums[*key, "billed"] += int(row["billed_pico_euro"])
    return dict(sums)


def judge(issued: list[Statement], rows: list[dict[str, Any]]) -> None:
    """Raises AssertionError for an invoice that is not its receipts, or that the standard does not accept."""
    press, invoices = FacturX(), [invoice_of(one.document) for one in issued]
    lines: defaultdict[Key, int] = defaultdict(int)
    for statement, invoice in zip(issued, invoices, strict=True):
        assert verified(statement.document, SIGNER.public_key)["proof"]["receipts"]
        assert faults(press.xml(invoice)) == []
        if invoice.buyer.party.country == "FR":
            assert french_faults(press.xml(invoice)) == []
        for line, cents in zip(invoice.lines, invoice.line_cents, strict=True):
            lines[line.tenant_id, line.model_id, line.price_version, line.month, line.kind] += line.amount.pico_euro
            exact = Decimal(line.amount.pico_euro) / 10**10
            assert cents == int(exact.quantize(Decimal(1), ROUND_HALF_EVEN)), line
    months = (SEPTEMBER, OCTOBER)
    expected = {key: amount for key, amount in added_up(rows).items() if amount and key[3] in months}
    assert dict(lines) == {key: amount for key, amount in expected.items() if key[4] != "billed"}
    billed = sum(amount for key, amount in expected.items() if key[4] == "billed")
    assert sum(total_of(invoice.lines).pico_euro for invoice in invoices) == billed


async def test_a_month_closes_into_invoices_that_are_their_receipts(house: House) -> None:
    issued = await an_autumn(house, REQUESTS)
    rows = await receipts(house)
    assert len(rows) == REQUESTS + LATE + 20
    judge(issued, rows)
    assert [one.number for one in issued] == [f"F2026-00000{number}" for number in (1, 2, 3, 4)]
    late = {line.month for line in invoice_of(issued[2].document).lines}
    assert late == {SEPTEMBER, OCTOBER}
    assert await house.store.check() == []
    pdf = FacturX().pdf(invoice_of(issued[2].document), issued[2].content_sha256, "fr")
    assert attached(pdf) == FacturX().xml(invoice_of(issued[2].document))


async def test_what_was_closed_stays_closed(house: House) -> None:
    issued = await an_autumn(house)
    for month in (SEPTEMBER, OCTOBER):
        with pytest.raises(Conflict):
            await close_month(house.books, "acme", month)
    with pytest.raises(BadRequest, match="not over yet"):
        await close_month(house.books, "acme", 202611)
    with pytest.raises(Conflict, match="next number"):
        await house.store.add_statement(issued[0]._replace(number="F2026-000009", sequence=9, organisation_id="x"))
    assert [one.number for one in await house.store.statements_page("city", None, 10)] == [
        issued[1].number,
        issued[3].number,
    ]


async def test_what_is_refunded_is_credited_once(house: House) -> None:
    issued = await an_autumn(house)
    with pytest.raises(BadRequest) as nothing:
        await credit(house.books, issued[2].number)
    assert nothing.value.code == "nothing_to_credit"
    await house.store.refund("prod", Money(1_234_567_890_123), "ticket 7", "answers were cut")
    noted = await credit(house.books, issued[2].number)
    said = invoice_of(noted.document)
    assert (noted.number, noted.about, noted.month) == ("A2026-000001", issued[2].number, 0)
    assert [(line.kind, line.note) for line in said.lines] == [(LineKind.CORRECTION, "ticket 7: answers were cut")]
    assert (said.totals.lines, said.totals.tax, said.totals.with_tax) == (123, 25, 148)
    assert faults(FacturX().xml(said)) + french_faults(FacturX().xml(said)) == []
    with pytest.raises(BadRequest):
        await credit(house.books, issued[2].number)
    with pytest.raises(BadRequest, match="Name the invoice"):
        await credit(house.books, noted.number)


# ------------------------------------------------------------------------------------------------- planted bugs


def rounded_twice(patch: pytest.MonkeyPatch) -> None:
    """To tenths of a cent first."""
    honest = billing_invoice.cents_of

    def twice(amount: Money) -> int:
        tenths = honest(amount * 10)
        return honest(Money(tenths * billing_invoice.PICO_PER_CENT // 10))

    for module in (billing_invoice, closing):
        patch.setattr(module, "cents_of", twice)


def a_row_left_out(patch: pytest.MonkeyPatch) -> None:
    """The sums and the ledger's are both without it, so that only the receipts can tell."""
    honest = statements._parts
    patch.setattr(
        statements, "_parts", lambda span: (and_(part, usage.c.request_id != "req_o000003") for part in honest(span))
    )


def late_usage_lost(patch: pytest.MonkeyPatch) -> None:
    """A statement is of its own month only."""
    honest = closing._span
    patch.setattr(closing, "_span", lambda *said: replace_span(honest(*said)))


def replace_span(span: Any) -> Any:
    return span._replace(last_before=span.last)


@pytest.mark.parametrize("bug", [rounded_twice, a_row_left_out, late_usage_lost], ids=lambda bug: bug.__name__)
async def test_a_planted_bug_is_seen(
    bug: Callable[[pytest.MonkeyPatch], None], house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    bug(monkeypatch)
    issued = await an_autumn(house)
    with pytest.raises(AssertionError):
        judge(issued, await receipts(house))


async def test_nothing_is_invoiced_that_the_ledger_does_not_say(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = statements._grouped
    monkeypatch.setattr(statements, "_grouped", lambda part: honest(and_(part, usage.c.request_id != "req_s000003")))
    with pytest.raises(ServerBug, match="the ledger moved something else"):
        await an_autumn(house)


def broken(invoice: Invoice) -> list[str]:
    """What the judge says of an invoice whose total is a cent too much."""
    wrong = replace(invoice.totals, with_tax=invoice.totals.with_tax + 1)
    return faults(FacturX().xml(replace(invoice, totals=wrong)))


async def test_the_judge_refuses_a_wrong_invoice(house: House) -> None:
    issued = await an_autumn(house)
    assert any(fault.startswith("BR-CO-15") for fault in broken(invoice_of(issued[0].document)))
