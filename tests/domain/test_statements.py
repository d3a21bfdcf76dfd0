"""Statements and invoices: exact lines, one rounding a line, the sums of EN 16931."""

from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.money import ZERO, Money
from parvis.core.tokens import TokenCount
from parvis.domain.billing.invoice import (
    PICO_PER_CENT,
    Invoice,
    InvoiceKind,
    Preceding,
    cents_of,
    disobeyed,
    number_of,
    totals_of,
)
from parvis.domain.billing.party import Buyer, Party, Seller
from parvis.domain.billing.price import PriceList, cost
from parvis.domain.billing.statement import LineKind, Unexplained, UsageSum, lines_of, total_of
from parvis.domain.billing.tax import Tax, TaxCategory, tax_cents

PARTY = Party("Parvis SAS", "1 rue du Parvis", "75002", "Paris", siren="552100554", vat_id="FR96552100554")
SELLER, BUYER = Seller(PARTY), Buyer(PARTY)
PRICE = st.integers(0, 10**9)
LISTS = {
    (version, model): PriceList(version, model, 0, 900_000 + n, 90_001, 4_000_003 * n, 7)
    for n, (version, model) in enumerate((v, m) for v in ("p1", "p2") for m in ("a", "b"))
}
TOKENS = st.builds(TokenCount, *(st.integers(0, 10**12) for _ in TokenCount._fields))


@st.composite
def sums(draw: st.DrawFn) -> list[UsageSum]:
    """Of different prices, part of each written off."""
    keys = draw(st.lists(st.tuples(st.sampled_from(("t1", "t2")), st.sampled_from(sorted(LISTS))), unique=True))
    found = []
    for tenant, (version, model) in keys:
        tokens = draw(TOKENS)
        due = cost(tokens, LISTS[version, model])
        off = Money(draw(st.integers(0, due.pico_euro)))
        found.append(UsageSum(tenant, model, version, 202610, 3, tokens, due - off, off))
    return found


def invoice_of(found: list[UsageSum], buyer: Buyer = BUYER) -> Invoice:
    lines = lines_of(found, LISTS)
    cents = tuple(cents_of(line.amount) for line in lines)
    totals = totals_of(cents, buyer)
    number = number_of(InvoiceKind.INVOICE, 2026, 1)
    dates = ("2026-11-02", "2026-12-02")
    return Invoice(InvoiceKind.INVOICE, number, "org", 202610, *dates, SELLER, buyer, {}, lines, cents, totals)


@given(sums())
def test_lines_come_to_what_was_billed_to_the_last_pico_euro(found: list[UsageSum]) -> None:
    lines = lines_of(found, LISTS)
    assert total_of(lines) == sum((one.billed for one in found), ZERO)
    assert all(line.amount == Money(line.pico_euro_each) * line.quantity for line in lines)
    tokens = sum(one.tokens.total for one in found)
    assert sum(line.quantity for line in lines if line.kind is not LineKind.WRITTEN_OFF) == tokens


@given(sums())
def test_nothing_is_invoiced_that_the_prices_do_not_explain(found: list[UsageSum]) -> None:
    for one in found[:1]:
        with pytest.raises(Unexplained):
            lines_of([one._replace(billed=one.billed + Money(1)), *found[1:]], LISTS)


@given(st.integers(-(10**24), 10**24))
def test_a_line_is_rounded_once_half_to_even(pico: int) -> None:
    exact = Decimal(pico) / PICO_PER_CENT
    assert cents_of(Money(pico)) == int(exact.quantize(Decimal(1), ROUND_HALF_EVEN))


@given(st.integers(-(10**12), 10**12), st.integers(0, 10_000))
def test_tax_is_rounded_once_half_to_even(cents: int, rate: int) -> None:
    exact = Decimal(cents) * rate / 10_000
    assert tax_cents(cents, rate) == int(exact.quantize(Decimal(1), ROUND_HALF_EVEN))


@given(sums().filter(bool), st.sampled_from((Tax(), Tax(rate=550), Tax(TaxCategory.REVERSE_CHARGE, 0))), st.booleans())
def test_every_invoice_obeys_the_standard(found: list[UsageSum], tax: Tax, prepaid: bool) -> None:  # noqa: FBT001 - drawn
    invoice = invoice_of(found, replace(BUYER, tax=tax, prepaid=prepaid))
    if invoice.lines:
        assert disobeyed(invoice) == []
        assert invoice.totals.due == (0 if prepaid else invoice.totals.with_tax)


def test_a_broken_invoice_is_told_by_the_rule() -> None:
    tokens = TokenCount(10**9, 0, 10**9)
    good = invoice_of([UsageSum("t1", "b", "p1", 202610, 1, tokens, cost(tokens, LISTS["p1", "b"]), ZERO)])
    totals = good.totals
    twice = replace(good, line_cents=(good.line_cents[0] + 1, *good.line_cents[1:]))
    assert disobeyed(twice) == ["BR-CO-10", "one rounding"]
    left_out = replace(good, lines=good.lines[1:], line_cents=good.line_cents[1:])
    assert "BR-CO-10" in disobeyed(left_out)
    assert disobeyed(replace(good, totals=replace(totals, tax=totals.tax + 1))) == ["BR-CO-14", "BR-CO-15", "BR-CO-17"]
    assert disobeyed(replace(good, totals=replace(totals, due=0))) == ["BR-CO-16"]
    assert disobeyed(replace(good, lines=(), line_cents=())) != []
    assert disobeyed(replace(good, preceding=Preceding("F2026-000001", "2026-11-02"))) == ["BR-55"]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"name": " "}, "name"),
        ({"country": "France"}, "country"),
        ({"vat_id": "12"}, "vat_id"),
        ({"siren": "55210055"}, "siren"),
        ({"electronic_address": "me@example.org", "electronic_scheme": ""}, "electronic_scheme"),
    ],
)
def test_a_party_that_no_invoice_may_hold_is_named(wrong: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        replace(PARTY, **wrong)


def test_a_company_is_reached_by_its_siren_unless_it_says_otherwise() -> None:
    assert (PARTY.electronic_address, PARTY.electronic_scheme) == ("552100554", "0225")


def test_sellers_and_buyers_that_cannot_be_are_refused() -> None:
    nameless = replace(PARTY, vat_id="")
    with pytest.raises(ValueError, match="vat_id"):
        Seller(nameless)
    with pytest.raises(ValueError, match="iban"):
        Seller(PARTY, iban="FR76 3000 6000")
    with pytest.raises(ValueError, match="notes"):
        Seller(PARTY, notes={"PMD": ""})
    with pytest.raises(ValueError, match="vat_id"):
        Buyer(nameless, Tax(TaxCategory.REVERSE_CHARGE, 0))
    with pytest.raises(ValueError, match="language"):
        Buyer(PARTY, language="de")
    with pytest.raises(ValueError, match="payment_days"):
        Buyer(PARTY, payment_days=365)


def test_a_tax_says_why_it_is_none() -> None:
    assert Tax(TaxCategory.REVERSE_CHARGE, 0).reason_code == "VATEX-EU-AE"
    for category, rate in ((TaxCategory.STANDARD, 0), (TaxCategory.EXPORT, 2000), (TaxCategory.EXEMPT, 0)):
        with pytest.raises(ValueError, match="category"):
            Tax(category, rate)
