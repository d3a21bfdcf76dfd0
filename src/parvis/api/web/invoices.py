"""Invoices as both listeners show them: what differs is how far the caller's rights reach."""

import asyncio
from typing import Annotated, Literal, Protocol

from fastapi import Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from parvis.api.web.answers import Listed
from parvis.api.web.answers_invoices import InvoiceShown, InvoiceWhole, SignedStatement
from parvis.api.web.desk import front_desk
from parvis.api.web.instants import write_instant
from parvis.api.web.queries import NoQuery, PageQuery
from parvis.api.web.routes import Route, TheActor
from parvis.api.web.shapes import Json, listing, money_shape
from parvis.core.errors import NotFound, NotPermitted, Unavailable
from parvis.domain.billing.invoice import Invoice, InvoiceKind
from parvis.domain.billing.issued import Statement
from parvis.domain.billing.statement import StatementLine, total_of
from parvis.domain.identity.permission import Permission as May
from parvis.domain.identity.place import Target
from parvis.flows.closing import statement_of
from parvis.flows.press import Press
from parvis.flows.statement_file import invoice_of
from parvis.flows.store import Store

KINDS = {InvoiceKind.INVOICE: "invoice", InvoiceKind.CREDIT_NOTE: "credit_note"}


class InvoiceDesk(Protocol):
    """The part of a listener's desk that invoices need."""

    @property
    def store(self) -> Store: ...

    @property
    def press(self) -> Press | None: ...


def invoice_desk(request: Request) -> InvoiceDesk:
    """The desk of the application that a request reached."""
    desk: InvoiceDesk = request.app.state.desk
    return desk


async def invoice_place(request: Request) -> Target | None:
    """Of `{number}`: the organisation that is invoiced."""
    found = await front_desk(request).store.statement(request.path_params["number"])
    return None if found is None else Target(found.organisation_id)


TheDesk = Annotated[InvoiceDesk, Depends(invoice_desk)]


class InvoicesQuery(PageQuery):
    """Of one organisation, or of all that the caller reaches."""

    organisation: str | None = None


class LanguageQuery(NoQuery):
    """The language of the buyer, or another one."""

    language: Literal["en", "fr"] | None = None


async def invoices(
    desk: TheDesk, actor: TheActor, query: Annotated[InvoicesQuery, Query()]
) -> Annotated[Json, Listed[InvoiceShown]]:
    """Invoices and credit notes, sorted by number."""
    wanted = _organisation(query.organisation, actor.places(May.INVOICES_READ))
    found = await desk.store.statements_page(wanted, query.after, query.limit + 1)
    shown = found[: query.limit]
    return listing([invoice_shape(one) for one in shown], shown[-1].number if len(found) > query.limit else None)


async def one(desk: TheDesk, number: str) -> Annotated[Json, InvoiceWhole]:
    """One, line by line."""
    found = await statement_of(desk.store, number)
    invoice = invoice_of(found.document)
    totals = invoice.totals
    return {
        **invoice_shape(found),
        "issued_on": invoice.issued_on,
        "due_on": invoice.due_on,
        "currency": "EUR",
        "exact": money_shape(total_of(invoice.lines)),
        "totals": {name: getattr(totals, name) for name in ("lines", "tax", "with_tax", "paid", "due")},
        "lines": [_line(invoice, *pair) for pair in zip(invoice.lines, invoice.line_cents, strict=True)],
    }


async def document(desk: TheDesk, number: str) -> Annotated[Response, SignedStatement]:
    """The signed statement, exactly as it was issued, with the ledger's proof."""
    return Response((await statement_of(desk.store, number)).document, media_type="application/json")


async def xml(desk: TheDesk, number: str) -> Response:
    """The invoice for programs: EN 16931 in CII syntax."""
    found = await statement_of(desk.store, number)
    made = await asyncio.to_thread(_press(desk).xml, invoice_of(found.document))
    return _file(made, "application/xml", f"{number}.xml")


async def pdf(desk: TheDesk, number: str, query: Annotated[LanguageQuery, Query()]) -> Response:
    """The invoice for people and programs: Factur-X, a PDF with the XML in it."""
    found = await statement_of(desk.store, number)
    invoice = invoice_of(found.document)
    language = query.language or invoice.buyer.language
    made = await asyncio.to_thread(_press(desk).pdf, invoice, found.content_sha256, language)
    return _file(made, "application/pdf", f"{number}.pdf")


def invoice_shape(issued: Statement) -> Json:
    """What a list shows of it."""
    return {
        "object": "invoice",
        "id": issued.number,
        "kind": KINDS[issued.kind],
        "organisation_id": issued.organisation_id,
        "month": _month(issued.month),
        "about": issued.about or None,
        "issued_at": write_instant(issued.issued_unix_ms),
        "total_cents": issued.total_cents,
        "content_sha256": issued.content_sha256,
    }


def _line(invoice: Invoice, line: StatementLine, cents: int) -> Json:
    return {
        "kind": line.kind,
        "tenant_id": line.tenant_id,
        "model": line.model_id,
        "price_version": line.price_version,
        "month": _month(line.month),
        "late": line.month < invoice.month,
        "quantity": line.quantity,
        "pico_euro_each": line.pico_euro_each,
        "amount": money_shape(line.amount),
        "cents": cents,
        "note": line.note,
    }


def _month(month: int) -> str | None:
    return f"{month // 100}-{month % 100:02d}" if month else None


def _organisation(asked: str | None, places: tuple[Target, ...]) -> str | None:
    """Whose invoices are listed; None for everybody's. Who reaches parts of an organisation only, sees none of it."""
    reached = [place.organisation_id for place in places if not place.tenant_id]
    if "" in reached:
        return asked
    if not reached:
        raise NotPermitted("Invoices are of a whole organisation, and your role reaches parts of it only.")
    if asked is not None and asked not in reached:
        raise NotFound("There are no invoices of such an organisation, or none that you may know of.")
    return asked or reached[0]


def _press(desk: InvoiceDesk) -> Press:
    if desk.press is None:
        raise Unavailable("Invoices are not printed here.")
    return desk.press


def _file(content: bytes, kind: str, name: str) -> Response:
    return Response(content, media_type=kind, headers={"content-disposition": f'attachment; filename="{name}"'})


_ONE = "/v1/invoices/{number}"
INVOICES = (
    Route("GET", "/v1/invoices", invoices, May.INVOICES_READ),
    Route("GET", _ONE, one, May.INVOICES_READ, target=invoice_place),
    Route("GET", f"{_ONE}/document", document, May.INVOICES_READ, target=invoice_place),
    Route("GET", f"{_ONE}/xml", xml, May.INVOICES_READ, target=invoice_place),
    Route("GET", f"{_ONE}/pdf", pdf, May.INVOICES_READ, target=invoice_place),
)
