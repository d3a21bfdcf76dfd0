"""Closing months: who stands on invoices, `/v1/seller` and `/v1/organisations/…/buyer`; issuing and crediting."""

from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from parvis.api.operator.desk import OperatorDesk, TheDesk
from parvis.api.web.answers_invoices import BuyerShown, InvoiceShown, SellerShown
from parvis.api.web.invoices import INVOICES, invoice_place, invoice_shape
from parvis.api.web.places import installation, organisation_place
from parvis.api.web.routes import Route
from parvis.api.web.shapes import Json
from parvis.core.errors import BadRequest, NotFound
from parvis.domain.billing.party import PAYMENT_DAYS, Buyer, Party, Seller
from parvis.domain.billing.tax import Tax, TaxCategory
from parvis.domain.identity.permission import Permission as May
from parvis.flows.closing import Bookkeeper, close_month, credit
from parvis.flows.statement_file import read_party, write_party
from parvis.flows.statement_store import SELLER

P = TypeVar("P", Seller, Buyer)
Text = Annotated[str, Field(max_length=300)]
Said = Annotated[str, Field(min_length=1, max_length=300)]


class PartyForm(BaseModel):
    """A company, as an invoice names it."""

    model_config = ConfigDict(extra="forbid")
    name: Said
    street: Said
    postcode: Said
    city: Said
    country: Text = "FR"
    siren: Text = ""
    vat_id: Text = ""
    legal: Text = ""
    electronic_address: Text = ""
    electronic_scheme: Text = ""


class SellerForm(BaseModel):
    """Who sells. `notes` has what the law wants to be said, by codes: PMD, PMT, AAB."""

    model_config = ConfigDict(extra="forbid")
    party: PartyForm
    iban: Text = ""
    bic: Text = ""
    notes: dict[str, Text] = Field(default={}, max_length=10)


class TaxForm(BaseModel):
    """`rate` is in hundredths of a percent: 2000 is 20 %."""

    model_config = ConfigDict(extra="forbid")
    category: TaxCategory = TaxCategory.STANDARD
    rate: int | None = None
    reason_code: Text = ""
    reason: Text = ""


class BuyerForm(BaseModel):
    """An organisation, as it is invoiced."""

    model_config = ConfigDict(extra="forbid")
    party: PartyForm
    tax: TaxForm = TaxForm()
    language: Literal["en", "fr"] = "fr"
    reference: Text = ""
    order: Text = ""
    payment_days: int = PAYMENT_DAYS
    prepaid: bool = False


class CloseForm(BaseModel):
    """Which month: `2026-10`."""

    model_config = ConfigDict(extra="forbid")
    month: Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]


class CreditForm(BaseModel):
    """Nothing is asked: the refunds that are on no credit note yet are credited."""

    model_config = ConfigDict(extra="forbid")


async def seller(desk: TheDesk) -> Annotated[Json, SellerShown]:
    """Who sells, as it stands on invoices from now on."""
    found = await desk.store.party(SELLER)
    if found is None:
        raise NotFound("Nobody said who sells.", code="party_missing")
    return _seller_shape(read_party(found, Seller))


async def put_seller(desk: TheDesk, form: SellerForm) -> Annotated[Json, SellerShown]:
    """Say who sells. Invoices that were issued stay as they are."""
    said = _said(lambda: Seller(_party(form.party), form.iban, form.bic, dict(form.notes)))
    await desk.store.put_party(SELLER, write_party(said))
    return _seller_shape(said)


async def buyer(desk: TheDesk, organisation_id: str) -> Annotated[Json, BuyerShown]:
    """An organisation, as it stands on invoices from now on."""
    found = await desk.store.party(organisation_id)
    if found is None:
        raise NotFound("Nobody said who this organisation is on an invoice.", code="party_missing")
    return _buyer_shape(organisation_id, read_party(found, Buyer))


async def put_buyer(desk: TheDesk, organisation_id: str, form: BuyerForm) -> Annotated[Json, BuyerShown]:
    """Say who an organisation is on an invoice, how it is taxed and in which language it reads."""
    rest = form.model_dump(exclude={"party", "tax"})
    said = _said(lambda: Buyer(party=_party(form.party), tax=_tax(form.tax), **rest))
    await desk.store.put_party(organisation_id, write_party(said))
    return _buyer_shape(organisation_id, said)


async def close(desk: TheDesk, organisation_id: str, form: CloseForm) -> Annotated[Json, InvoiceShown]:
    """Close a month of an organisation: its invoice gets the next number, and is never changed."""
    return invoice_shape(await close_month(_house(desk), organisation_id, int(form.month.replace("-", ""))))


async def add_credit_note(desk: TheDesk, number: str, form: CreditForm) -> Annotated[Json, InvoiceShown]:  # noqa: ARG001 - its form is that it has none
    """Credit what was refunded since the last credit note, about this invoice."""
    return invoice_shape(await credit(_house(desk), number))


def _house(desk: OperatorDesk) -> Bookkeeper:
    return Bookkeeper(desk.store, desk.signer, desk.clock)


def _party(form: PartyForm) -> Party:
    return Party(**form.model_dump())


def _tax(form: TaxForm) -> Tax:
    usual = Tax().rate if form.category is TaxCategory.STANDARD else 0
    return Tax(form.category, usual if form.rate is None else form.rate, form.reason_code, form.reason)


def _said(make: Callable[[], P]) -> P:
    """Raises BadRequest, naming what no invoice may hold."""
    try:
        return make()
    except ValueError as problem:
        raise BadRequest(f"This cannot stand on an invoice: {problem}.", code="party_invalid") from None


def _seller_shape(one: Seller) -> Json:
    return {"object": "seller", **msgspec.to_builtins(one)}


def _buyer_shape(organisation_id: str, one: Buyer) -> Json:
    return {"object": "buyer", "organisation_id": organisation_id, **msgspec.to_builtins(one)}


_BUYER = "/v1/organisations/{organisation_id}/buyer"
ROUTES = (
    *INVOICES,
    Route("GET", "/v1/seller", seller, May.INVOICES_READ, target=installation),
    Route("PUT", "/v1/seller", put_seller, May.INVOICES_WRITE, target=installation, action="seller.updated"),
    Route("GET", _BUYER, buyer, May.INVOICES_READ, target=organisation_place),
    Route("PUT", _BUYER, put_buyer, May.INVOICES_WRITE, target=organisation_place, action="buyer.updated"),
    Route(
        "POST",
        "/v1/organisations/{organisation_id}/invoices",
        close,
        May.INVOICES_WRITE,
        201,
        target=organisation_place,
        action="invoice.issued",
    ),
    Route(
        "POST",
        "/v1/invoices/{number}/credit_notes",
        add_credit_note,
        May.INVOICES_WRITE,
        201,
        target=invoice_place,
        action="credit_note.issued",
    ),
)
