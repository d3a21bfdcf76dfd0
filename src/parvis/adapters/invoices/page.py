"""The pages of an invoice, as people read them."""

from collections.abc import Iterator, Sequence
from importlib.resources import as_file, files
from itertools import groupby
from typing import NamedTuple

from fpdf import FPDF

from parvis.adapters.invoices.texts import (
    cents_text,
    date_text,
    exact_text,
    line_detail,
    line_name,
    month_text,
    whole_text,
    words_of,
)
from parvis.domain.billing.invoice import Invoice, InvoiceKind
from parvis.domain.billing.party import Party
from parvis.domain.billing.statement import UNIT_KINDS, LineKind, StatementLine, total_of

FONT = "Source Sans Pro"
FILES = {"": "SourceSansPro-Regular.ttf", "B": "SourceSansPro-Semibold.ttf"}
MARGIN_MM, FOOT_MM = 18, 26
WIDTHS_MM = (96, 28, 24, 26)
INK, PALE, ACCENT, RULE, SHADE = (27, 36, 44), (96, 108, 118), (20, 84, 104), (206, 214, 220), (242, 245, 247)
SMALL, TEXT, TITLE = 7.6, 9.2, 21.0
LINE_MM = 4.4
MILLION = 1_000_000


class Cells(NamedTuple):
    """One line of the table, as it is printed."""

    name: str
    detail: str
    quantity: str
    price: str
    amount: str


class InvoicePage(FPDF):
    """All pages of one invoice, laid out when it is made."""

    def __init__(self, invoice: Invoice, content_sha256: str, language: str) -> None:
        super().__init__(enforce_compliance="PDFA_3B")
        self._invoice = invoice
        self._language = language
        self._words = words_of(language)
        self._title = self._words["invoice" if invoice.kind is InvoiceKind.INVOICE else "credit_note"]
        for style, name in FILES.items():
            with as_file(files("font_source_sans_pro") / "files" / name) as path:
                self.add_font(FONT, style, path)
        self.set_title(f"{self._title} {invoice.number}")
        self.set_author(invoice.seller.party.name)
        self.set_creator("Parvis")
        self.set_producer("Parvis")
        self.set_lang(language)
        self.set_margins(MARGIN_MM, MARGIN_MM, MARGIN_MM)
        self.set_auto_page_break(auto=True, margin=FOOT_MM)
        self.add_page()
        self._head()
        self._parties()
        self._table()
        self._totals()
        self._payment(content_sha256)

    def header(self) -> None:
        """From the second page on: what it is a page of."""
        if self.page_no() > 1:
            self._ink(PALE, SMALL)
            self.cell(0, LINE_MM, f"{self._title} {self._invoice.number}", align="R", new_x="LMARGIN", new_y="NEXT")
            self.ln(2)

    def footer(self) -> None:
        """Who sells, in the words of the law, and the number of the page."""
        seller = self._invoice.seller.party
        self.set_y(-FOOT_MM + 6)
        self._rule()
        self._ink(PALE, SMALL)
        said = [seller.name, seller.legal, f"{self._words['vat_id']} {seller.vat_id}"]
        self.multi_cell(150, 3.6, " · ".join(one for one in said if one), align="L", new_x="LMARGIN", new_y="TOP")
        self.set_x(-MARGIN_MM - 24)
        self.cell(24, 3.6, f"{self._words['page']} {self.page_no()}/{{nb}}", align="R")

    def _head(self) -> None:
        """Number and dates on the right, the seller on the left."""
        top = self.get_y()
        self._ink(INK, TEXT + 2.6, bold=True)
        self.cell(90, 6, self._invoice.seller.party.name, new_x="LMARGIN", new_y="NEXT")
        self._address(self._invoice.seller.party, 90)
        bottom = self.get_y()
        self.set_xy(112, top)
        self._ink(ACCENT, TITLE, bold=True)
        self.cell(0, 9, self._title, align="R", new_x="LMARGIN", new_y="NEXT")
        for name, text in self._facts():
            self._pair(name, text)
        self.set_y(max(bottom, self.get_y()) + 7)

    def _facts(self) -> Iterator[tuple[str, str]]:
        invoice, words = self._invoice, self._words
        yield words["number"], invoice.number
        yield words["issued"], date_text(invoice.issued_on, self._language)
        if invoice.month:
            yield words["month"], month_text(invoice.month, self._language)
            yield words["due"], date_text(invoice.due_on, self._language)
        if invoice.preceding:
            yield words["about"], invoice.preceding.number
        if invoice.buyer.reference:
            yield words["reference"], invoice.buyer.reference
        if invoice.buyer.order:
            yield words["order"], invoice.buyer.order

    def _pair(self, name: str, text: str) -> None:
        self.set_x(112)
        self._ink(PALE, TEXT)
        self.cell(40, LINE_MM + 0.4, name, align="R")
        self._ink(INK, TEXT, bold=True)
        self.cell(0, LINE_MM + 0.4, text, align="R", new_x="LMARGIN", new_y="NEXT")

    def _parties(self) -> None:
        self._ink(PALE, SMALL)
        self.cell(0, LINE_MM, self._words["buyer"], new_x="LMARGIN", new_y="NEXT")
        self._ink(INK, TEXT + 1, bold=True)
        self.cell(0, 5, self._invoice.buyer.party.name, new_x="LMARGIN", new_y="NEXT")
        self._address(self._invoice.buyer.party, 120)
        self.ln(6)

    def _address(self, party: Party, width_mm: float) -> None:
        ids = [
            f"SIREN {party.siren}" * bool(party.siren),
            f"{self._words['vat_id']} {party.vat_id}" * bool(party.vat_id),
        ]
        lines = [party.street, f"{party.postcode} {party.city}, {party.country}", " · ".join(one for one in ids if one)]
        self._ink(INK, TEXT)
        for line in lines:
            if line:
                self.multi_cell(width_mm, LINE_MM, line, align="L", new_x="LMARGIN", new_y="NEXT")

    def _table(self) -> None:
        """Lines in groups, one for each tenant."""
        invoice = self._invoice
        self._columns()
        rows = list(zip(invoice.lines, invoice.line_cents, strict=True))
        for tenant_id, group in groupby(rows, key=lambda row: row[0].tenant_id):
            self._group(invoice.tenants.get(tenant_id, tenant_id))
            for line, cents in group:
                self._row(self._cells(line, cents))

    def _columns(self) -> None:
        self._ink(PALE, SMALL, bold=True)
        names = [self._words[name] for name in ("description", "quantity", "price", "amount")]
        self._across(names, LINE_MM + 1)
        self._rule()

    def _group(self, name: str) -> None:
        if self.will_page_break(3 * LINE_MM):
            self.add_page()
            self._columns()
        self.ln(1)
        self._ink(ACCENT, TEXT, bold=True)
        self.cell(0, LINE_MM + 1, name, new_x="LMARGIN", new_y="NEXT")

    def _row(self, cells: Cells) -> None:
        if self.will_page_break(2 * LINE_MM):
            self.add_page()
            self._columns()
        self._ink(INK, TEXT)
        self._across((self._fitting(cells.name), cells.quantity, cells.price, cells.amount), LINE_MM)
        if cells.detail:
            self._ink(PALE, SMALL)
            self.cell(0, LINE_MM - 0.9, cells.detail, new_x="LMARGIN", new_y="NEXT")
        self.ln(0.7)

    def _fitting(self, text: str) -> str:
        """As much of it as the first column has room for."""
        while self.get_string_width(text) > WIDTHS_MM[0] - 3:
            text = f"{text[:-2]}…"
        return text

    def _cells(self, line: StatementLine, cents: int) -> Cells:
        quantity = price = ""
        if line.kind not in (LineKind.WRITTEN_OFF, LineKind.CORRECTION):
            quantity = whole_text(line.quantity, self._language)
            price = self._price(line)
        detail = line_detail(line, self._invoice.month, self._language)
        return Cells(line_name(line, self._words), detail, quantity, price, cents_text(cents, self._language))

    def _price(self, line: StatementLine) -> str:
        """Of a million tokens, as the head of the column says; of another unit with a word that says so."""
        if line.kind in UNIT_KINDS:
            return f"{exact_text(line.pico_euro_each, self._language)} {self._words['price_each']}"
        return exact_text(line.pico_euro_each * MILLION, self._language)

    def _across(self, texts: Sequence[str], height_mm: float) -> None:
        for number, (text, width) in enumerate(zip(texts, WIDTHS_MM, strict=True)):
            self.cell(width, height_mm, text, align="R" if number else "L")
        self.ln(height_mm)

    def _totals(self) -> None:
        invoice, words, totals = self._invoice, self._words, self._invoice.totals
        self.ln(2)
        self._rule()
        self.ln(1.5)
        if self.will_page_break(34):
            self.add_page()
        rate = f"{words['tax']} {self._rate()}"
        self._sum(words["lines"], totals.lines)
        self._sum(rate, totals.tax)
        if invoice.buyer.tax.reason or invoice.buyer.tax.reason_code:
            self._ink(PALE, SMALL)
            said = " · ".join(one for one in (invoice.buyer.tax.reason, invoice.buyer.tax.reason_code) if one)
            self.multi_cell(0, LINE_MM, said, align="R", new_x="LMARGIN", new_y="NEXT")
        self._sum(words["with_tax"], totals.with_tax)
        if totals.paid:
            self._sum(words["paid"], -totals.paid)
        to_pay = "to_pay" if invoice.kind is InvoiceKind.INVOICE else "to_return"
        self._sum(words[to_pay], totals.due, bold=True)
        self.ln(5)

    def _rate(self) -> str:
        whole, part = divmod(self._invoice.buyer.tax.rate, 100)
        shown = f"{whole}.{part:02d}".rstrip("0").rstrip(".")
        return f"{shown.replace('.', ',')}\u00a0%" if self._language == "fr" else f"{shown}%"

    def _sum(self, name: str, cents: int, *, bold: bool = False) -> None:
        self.set_x(self.w - MARGIN_MM - 94)
        if bold:
            self.set_fill_color(*SHADE)
        self._ink(ACCENT if bold else INK, TEXT + 1.4 * bold, bold=bold)
        height = LINE_MM + 0.6 + 2 * bold
        self.cell(62, height, f" {name}", fill=bold)
        self.cell(32, height, f"{cents_text(cents, self._language)}\u00a0€ ", align="R", fill=bold)
        self.ln(height)

    def _payment(self, content_sha256: str) -> None:
        """How to pay, what the law wants to be said, and where the proof is."""
        seller, words = self._invoice.seller, self._words
        if seller.iban and self._invoice.totals.due > 0 and self._invoice.kind is InvoiceKind.INVOICE:
            bank = f"{words['payment']}: IBAN {_grouped(seller.iban)}" + f" · BIC {seller.bic}" * bool(seller.bic)
            self._said(bank, INK, TEXT)
        for text in seller.notes.values():
            self._said(text, PALE, SMALL)
        self.ln(2)
        exactly = exact_text(total_of(self._invoice.lines).pico_euro, self._language)
        self._said(f"{words['exactly']} {exactly}\u00a0€.", PALE, SMALL)
        if self._invoice.kind is InvoiceKind.INVOICE:
            self._said(f"{words['proof']} {content_sha256}", PALE, SMALL)

    def _said(self, text: str, colour: tuple[int, int, int], size: float) -> None:
        self._ink(colour, size)
        self.multi_cell(0, LINE_MM, text, align="L", new_x="LMARGIN", new_y="NEXT")

    def _rule(self) -> None:
        self.set_draw_color(*RULE)
        self.set_line_width(0.25)
        self.line(MARGIN_MM, self.get_y(), self.w - MARGIN_MM, self.get_y())
        self.ln(1.2)

    def _ink(self, colour: tuple[int, int, int], size: float, *, bold: bool = False) -> None:
        self.set_font(FONT, "B" if bold else "", size)
        self.set_text_color(*colour)


def _grouped(iban: str) -> str:
    """In groups of four, as it is written on paper."""
    return " ".join(iban[at : at + 4] for at in range(0, len(iban), 4))
