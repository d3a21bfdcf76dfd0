"""Invoices and who stands on them, as types. Amounts on an invoice are cents; exact ones are pico-euro."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from parvis.api.web.answers import Instant, Money, Shape
from parvis.api.web.answers_receipts import Signature
from parvis.domain.billing.statement import LineKind
from parvis.domain.billing.tax import TaxCategory

Day = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Month = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}$")]


class PartyFacts(Shape):
    """A company, as an invoice names it."""

    name: str
    street: str
    postcode: str
    city: str
    country: str
    siren: str
    vat_id: str
    legal: str
    electronic_address: str
    electronic_scheme: str


class TaxFacts(Shape):
    """Which tax is added, in hundredths of a percent, or why none is."""

    category: TaxCategory
    rate: int
    reason_code: str
    reason: str


class SellerShown(Shape):
    """Who sells."""

    object: Literal["seller"]
    party: PartyFacts
    iban: str
    bic: str
    notes: dict[str, str]


class BuyerShown(Shape):
    """An organisation, as it is invoiced."""

    object: Literal["buyer"]
    organisation_id: str
    party: PartyFacts
    tax: TaxFacts
    language: Literal["en", "fr"]
    reference: str
    order: str
    payment_days: int
    prepaid: bool


Facts = Annotated[dict[str, Any], Meta(description="As it was issued. docs/reference/billing.md has the fields.")]


class StatementDocument(Shape):
    """What is signed: the invoice as it is printed, and the proof that it is what the ledger says."""

    kind: Literal["parvis.statement"]
    form: int
    installation: str
    invoice: Facts
    proof: Facts


class SignedStatement(Shape):
    """A statement that anybody can check offline."""

    document: StatementDocument
    signature: Signature


class InvoiceShown(Shape):
    """What was issued. `month` is null of a credit note, and `about` of an invoice."""

    object: Literal["invoice"]
    id: str
    kind: Literal["invoice", "credit_note"]
    organisation_id: str
    month: Month | None
    about: str | None
    issued_at: Instant
    total_cents: int
    content_sha256: str


class InvoiceLine(Shape):
    """A line: `amount` is exact, `cents` is it rounded once. `late` is of usage before the month of the invoice."""

    kind: LineKind
    tenant_id: str
    model: str
    price_version: str
    month: Month | None
    late: bool
    quantity: int
    pico_euro_each: int
    amount: Money
    cents: int
    note: str


class InvoiceTotals(Shape):
    """In cents."""

    lines: int
    tax: int
    with_tax: int
    paid: int
    due: int


class InvoiceWhole(InvoiceShown):
    """All that stands on it."""

    issued_on: Day
    due_on: Day
    currency: Literal["EUR"]
    exact: Money
    totals: InvoiceTotals
    lines: list[InvoiceLine]
