"""Closing a month: the statement and invoice of one organisation, with the next number, signed and never changed.

Late usage (of a gateway whose journal was read after the month was closed) stands on the next statement, by its month.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from parvis.core.clock import Clock
from parvis.core.errors import BadRequest, Conflict, NotFound, ServerBug
from parvis.core.money import Money
from parvis.domain.billing.invoice import (
    SERIES,
    Invoice,
    InvoiceKind,
    Preceding,
    cents_of,
    disobeyed,
    number_of,
    totals_of,
)
from parvis.domain.billing.issued import Moved, Refunded, Span, Statement
from parvis.domain.billing.party import Buyer, Seller
from parvis.domain.billing.statement import LineKind, StatementLine, Unexplained, UsageSum, lines_of
from parvis.domain.quota.budget import month_bounds_ms
from parvis.flows.receipts import by_version, prices_of
from parvis.flows.signing import Signer
from parvis.flows.statement_file import invoice_of, proof_of, read_party, statement_file
from parvis.flows.statement_store import SELLER
from parvis.flows.store import Store

TRIES = 5
"""How often another one may take the number meanwhile."""


@dataclass(frozen=True, slots=True)
class Bookkeeper:
    """What it takes to issue something."""

    store: Store
    signer: Signer
    clock: Clock


class _Draft(NamedTuple):
    """An invoice without its number, and what it stands on."""

    invoice: Invoice
    last_booking: int
    proof: dict[str, object]


async def close_month(house: Bookkeeper, organisation_id: str, month: int) -> Statement:
    """Issue the invoice of a month that is over.

    Raises BadRequest for a month that is not, for parties that were not said, and when there is nothing to bill;
    Conflict when the month, or a later one, is closed; ServerBug when the books do not explain what was billed.
    """
    seller, buyer = await parties(house.store, organisation_id)
    before = await house.store.last_statement(organisation_id, InvoiceKind.INVOICE)
    until = _end_of(month)
    if house.clock.unix_ms() < until:
        raise BadRequest(f"The month {month} is not over yet, in UTC.", param="month")
    if before is not None and before.month >= month:
        raise Conflict(f"{before.number} has closed {before.month} already. Months are closed one after the other.")
    batch = await house.store.last_batch()
    span = _span(organisation_id, 0 if batch is None else batch.last, until, before)
    sums, moved = await house.store.usage_sums(span), await house.store.moved(span)
    if batch is None or not sums:
        raise BadRequest(f"Nothing was used by '{organisation_id}' until the end of {month}.", code="nothing_to_bill")
    lines = await _lines(house.store, sums)
    _check_moved(sums, moved)
    draft = _invoice(house, InvoiceKind.INVOICE, organisation_id, (seller, buyer), lines)
    named = replace(draft, month=month, tenants=await _names(house.store, lines))
    proof = proof_of(moved, batch, span.last_before + 1)
    return await _issue(house, _Draft(named, batch.last, proof))


async def credit(house: Bookkeeper, number: str) -> Statement:
    """A credit note about an invoice, of all refunds of its organisation that are on none yet.

    Raises NotFound, BadRequest when there is no such refund, Conflict when they are more than the invoice.
    """
    about = await statement_of(house.store, number)
    if about.kind is not InvoiceKind.INVOICE:
        raise BadRequest(f"{number} is a credit note itself. Name the invoice.", param="number")
    organisation_id = about.organisation_id
    before = await house.store.last_statement(organisation_id, InvoiceKind.CREDIT_NOTE)
    refunds = await house.store.refunds(organisation_id, 0 if before is None else before.last_booking)
    batch = await house.store.last_batch()
    if not refunds or batch is None:
        raise BadRequest(
            f"Nothing was refunded to '{organisation_id}' since its last credit note. Refund first.",
            code="nothing_to_credit",
        )
    lines = tuple(_correction(one) for one in refunds)
    was = invoice_of(about.document)
    draft = _invoice(house, InvoiceKind.CREDIT_NOTE, organisation_id, (was.seller, was.buyer), lines)
    if draft.totals.with_tax > was.totals.with_tax:
        raise Conflict(f"The refunds come to more than {number}. Name the invoice that they are about.", param="number")
    preceding = Preceding(number, was.issued_on)
    named = replace(draft, preceding=preceding, tenants=await _names(house.store, lines), due_on=draft.issued_on)
    return await _issue(house, _Draft(named, refunds[-1].booking, proof_of((), batch, 0)))


async def statement_of(store: Store, number: str) -> Statement:
    """One that was issued. Raises NotFound."""
    found = await store.statement(number)
    if found is None:
        raise NotFound(f"There is no invoice '{number}'.", param="number")
    return found


async def parties(store: Store, organisation_id: str) -> tuple[Seller, Buyer]:
    """Who sells and who buys, as was said last. Raises BadRequest, naming who is missing."""
    seller, buyer = await store.party(SELLER), await store.party(organisation_id)
    if seller is None:
        raise BadRequest("Nobody said who sells. Type: parvis invoice seller FILE", code="party_missing")
    if buyer is None:
        raise BadRequest(
            f"Nobody said who '{organisation_id}' is on an invoice. Type: parvis invoice buyer ORGANISATION FILE",
            code="party_missing",
        )
    return read_party(seller, Seller), read_party(buyer, Buyer)


def _end_of(month: int) -> int:
    """When a month is over. Raises BadRequest."""
    try:
        return month_bounds_ms(month)[1]
    except ValueError:
        raise BadRequest("A month is written like 2026-10.", param="month") from None


def _span(organisation_id: str, last: int, until: int, before: Statement | None) -> Span:
    if before is None:
        return Span(organisation_id, last, until)
    return Span(organisation_id, last, until, before.last_booking, month_bounds_ms(before.month)[1])


async def _lines(store: Store, sums: list[UsageSum]) -> tuple[StatementLine, ...]:
    known = by_version(await store.prices())
    keys = {(one.price_version, one.model_id) for one in sums}
    try:
        return lines_of(sums, {key: prices_of(known, *key) for key in keys})
    except Unexplained as problem:
        raise ServerBug(f"Nothing is invoiced: {problem} Type: parvis doctor") from None


def _check_moved(sums: list[UsageSum], moved: list[Moved]) -> None:
    """Raises ServerBug unless the ledger moved what the requests say that they were billed."""
    said: dict[str, tuple[Money, Money]] = {}
    for one in sums:
        billed, written_off = said.get(one.tenant_id, (Money(0), Money(0)))
        said[one.tenant_id] = (billed + one.billed, written_off + one.written_off)
    booked = {one.tenant_id: (one.billed, one.written_off) for one in moved}
    nothing = (Money(0), Money(0))
    wrong = [tenant for tenant, amounts in said.items() if booked.get(tenant, nothing) != amounts]
    if wrong or booked.keys() - said.keys():
        raise ServerBug(f"Nothing is invoiced: the ledger moved something else for {', '.join(wrong or booked)}.")


def _invoice(
    house: Bookkeeper,
    kind: InvoiceKind,
    organisation_id: str,
    of: tuple[Seller, Buyer],
    lines: tuple[StatementLine, ...],
) -> Invoice:
    seller, buyer = of
    today = datetime.fromtimestamp(house.clock.unix_ms() // 1000, UTC).date()
    cents = tuple(cents_of(line.amount) for line in lines)
    return Invoice(
        kind=kind,
        number="",
        organisation_id=organisation_id,
        month=0,
        issued_on=today.isoformat(),
        due_on=(today + timedelta(days=buyer.payment_days)).isoformat(),
        seller=seller,
        buyer=buyer,
        tenants={},
        lines=lines,
        line_cents=cents,
        totals=totals_of(cents, buyer),
    )


async def _names(store: Store, lines: tuple[StatementLine, ...]) -> dict[str, str]:
    wanted = {line.tenant_id for line in lines}
    return {one.tenant_id: one.name for one in await store.tenants() if one.tenant_id in wanted}


def _correction(one: Refunded) -> StatementLine:
    words = ": ".join(word for word in (one.reference, one.note) if word)
    each = one.amount.pico_euro
    return StatementLine(LineKind.CORRECTION, one.tenant_id, "", "", 0, 1, each, one.amount, words)


async def _issue(house: Bookkeeper, draft: _Draft) -> Statement:
    """Take the next number. Raises Conflict when others take it again and again."""
    for attempt in range(TRIES):
        statement = await _numbered(house, draft)
        try:
            await house.store.add_statement(statement)
        except Conflict:
            if attempt == TRIES - 1 or await _taken(house.store, statement):
                raise
            continue
        return statement
    raise AssertionError


async def _taken(store: Store, statement: Statement) -> bool:
    """Whether the month was closed meanwhile, so that another number would not help."""
    newest = await store.last_statement(statement.organisation_id, statement.kind)
    return newest is not None and newest.last_booking >= statement.last_booking


async def _numbered(house: Bookkeeper, draft: _Draft) -> Statement:
    invoice = draft.invoice
    year, series = int(invoice.issued_on[:4]), SERIES[invoice.kind]
    sequence = await house.store.last_sequence(series, year) + 1
    invoice = replace(invoice, number=number_of(invoice.kind, year, sequence))
    if broken := disobeyed(invoice):
        raise ServerBug(f"Nothing is invoiced: {', '.join(broken)} would be broken.")
    file = statement_file(invoice, draft.proof, house.signer)
    return Statement(
        invoice.number,
        invoice.kind,
        series,
        year,
        sequence,
        invoice.organisation_id,
        invoice.month,
        invoice.preceding.number if invoice.preceding else "",
        draft.last_booking,
        invoice.totals.with_tax,
        hashlib.sha256(file).hexdigest(),
        file,
        house.clock.unix_ms(),
    )
