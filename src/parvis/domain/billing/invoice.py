"""The invoice of a statement, and the credit note about one: cents from here on, each line rounded once.

Sums are those of EN 16931-1, section 6.4.3, rules BR-CO-10 to BR-CO-17; whole numbers only.
"""

from dataclasses import dataclass
from enum import IntEnum

from parvis.core.money import PICO_PER_EURO, Money
from parvis.domain.billing.party import Buyer, Seller
from parvis.domain.billing.statement import StatementLine, total_of
from parvis.domain.billing.tax import divided_half_even, tax_cents

PICO_PER_CENT = PICO_PER_EURO // 100
SEQUENCE_DIGITS = 6
Lines = tuple[StatementLine, ...]


class InvoiceKind(IntEnum):
    """The codes of UNTDID 1001."""

    INVOICE = 380
    CREDIT_NOTE = 381


SERIES = {InvoiceKind.INVOICE: "F", InvoiceKind.CREDIT_NOTE: "A"}
"""Each series has its own numbers, from 1 on in each year, without gaps."""


@dataclass(frozen=True, slots=True)
class Preceding:
    """The invoice that a credit note is about."""

    number: str
    issued_on: str


@dataclass(frozen=True, slots=True)
class Totals:
    """In cents. The names are those of the business terms BT-106 to BT-115."""

    lines: int
    tax: int
    with_tax: int
    paid: int
    due: int


@dataclass(frozen=True, slots=True)
class Invoice:
    """All that stands on it. Dates are ISO 8601; a month is like 202611."""

    kind: InvoiceKind
    number: str
    organisation_id: str
    month: int
    """That it is about; 0 of a credit note."""
    issued_on: str
    due_on: str
    seller: Seller
    buyer: Buyer
    tenants: dict[str, str]
    """Their names, by id."""
    lines: Lines
    line_cents: tuple[int, ...]
    """The net amount of each line, in the same order."""
    totals: Totals
    preceding: Preceding | None = None


def number_of(kind: InvoiceKind, year: int, sequence: int) -> str:
    """`F2026-000001`."""
    return f"{SERIES[kind]}{year}-{sequence:0{SEQUENCE_DIGITS}d}"


def cents_of(amount: Money) -> int:
    """Whole cents, rounded once, half to even."""
    return divided_half_even(amount.pico_euro, PICO_PER_CENT)


def totals_of(line_cents: tuple[int, ...], buyer: Buyer) -> Totals:
    """Of what was paid beforehand nothing is due."""
    lines = sum(line_cents)
    tax = tax_cents(lines, buyer.tax.rate)
    paid = lines + tax if buyer.prepaid else 0
    return Totals(lines, tax, lines + tax, paid, lines + tax - paid)


def disobeyed(invoice: Invoice) -> list[str]:
    """The rules that an invoice breaks, by their names in EN 16931; empty for every one that is ever issued."""
    totals, tax = invoice.totals, invoice.buyer.tax
    cents, lines = invoice.line_cents, invoice.lines
    laws = {
        "BR-16": bool(lines) and len(lines) == len(cents),
        "BR-CO-10": totals.lines == sum(cents),
        "BR-CO-14": totals.tax == tax_cents(totals.lines, tax.rate),
        "BR-CO-15": totals.with_tax == totals.lines + totals.tax,
        "BR-CO-16": totals.due == totals.with_tax - totals.paid,
        "BR-CO-17": abs(totals.tax * 10_000 - totals.lines * tax.rate) <= 5_000,  # noqa: PLR2004 - half a cent
        "BR-CO-25": bool(invoice.due_on),
        "one rounding": all(one == cents_of(line.amount) for one, line in zip(cents, lines, strict=False)),
        "exact lines": all(line.amount == Money(line.pico_euro_each) * line.quantity for line in lines),
        "within rounding": abs(totals.lines * PICO_PER_CENT - total_of(lines).pico_euro)
        <= len(lines) * PICO_PER_CENT // 2,
        "BR-55": (invoice.kind is InvoiceKind.CREDIT_NOTE) == (invoice.preceding is not None),
    }
    return [name for name, obeyed in laws.items() if not obeyed]
