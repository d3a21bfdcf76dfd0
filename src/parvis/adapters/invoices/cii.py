"""An invoice as XML: UN/CEFACT Cross Industry Invoice D22B, in the form that EN 16931 gives it.

The order of elements is that of the schema. Terms in brackets are the business terms of the standard.
"""

from calendar import monthrange
from xml.etree.ElementTree import Element, SubElement, indent, register_namespace, tostring

from parvis.adapters.invoices.texts import decimal, line_detail, line_name, words_of
from parvis.domain.billing.invoice import PICO_PER_CENT, Invoice
from parvis.domain.billing.party import Party
from parvis.domain.billing.statement import LineKind, StatementLine
from parvis.domain.billing.tax import TaxCategory

GUIDELINE = "urn:cen.eu:en16931:2017"
SERVICE, PAID_SERVICE = "S1", "S2"
"""What is invoiced, in the words of the French platforms: a service, and one that was paid already."""
CURRENCY = "EUR"
ONE, MILLION = "C62", 1_000_000
"""The unit of what is counted (UN/ECE recommendation 20), and for how many of it token prices are said."""
TRANSFER = "58"
"""A SEPA credit transfer (UNTDID 4461)."""
_NAMES = {
    "rsm": "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100",
    "ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
    "qdt": "urn:un:unece:uncefact:data:standard:QualifiedDataType:100",
    "udt": "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100",
}
for _prefix, _uri in _NAMES.items():
    register_namespace(_prefix, _uri)


def write_cii(invoice: Invoice) -> bytes:
    """The file `factur-x.xml`. The same invoice gives the same bytes."""
    root = Element(_name("rsm:CrossIndustryInvoice"))
    context = _add(root, "rsm:ExchangedDocumentContext")
    process = _add(context, "ram:BusinessProcessSpecifiedDocumentContextParameter")
    _add(process, "ram:ID", PAID_SERVICE if invoice.buyer.prepaid else SERVICE)  # [BT-23]
    _add(_add(context, "ram:GuidelineSpecifiedDocumentContextParameter"), "ram:ID", GUIDELINE)  # [BT-24]
    _document(root, invoice)
    deal = _add(root, "rsm:SupplyChainTradeTransaction")
    for number, (line, cents) in enumerate(zip(invoice.lines, invoice.line_cents, strict=True), 1):
        _line(deal, invoice, number, line, cents)
    _agreement(deal, invoice)
    delivered = _add(_add(deal, "ram:ApplicableHeaderTradeDelivery"), "ram:ActualDeliverySupplyChainEvent")
    _date(_add(delivered, "ram:OccurrenceDateTime"), _ends(invoice.month) if invoice.month else invoice.issued_on)
    _settlement(deal, invoice)
    indent(root)
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True))


def _document(root: Element, invoice: Invoice) -> None:
    document = _add(root, "rsm:ExchangedDocument")
    _add(document, "ram:ID", invoice.number)  # [BT-1]
    _add(document, "ram:TypeCode", str(int(invoice.kind)))  # [BT-3]
    _date(_add(document, "ram:IssueDateTime"), invoice.issued_on)  # [BT-2]
    legal = {"REG": invoice.seller.party.legal} if invoice.seller.party.legal else {}
    for code, text in {**invoice.seller.notes, **legal}.items():  # [BG-1]
        note = _add(document, "ram:IncludedNote")
        _add(note, "ram:Content", text)
        _add(note, "ram:SubjectCode", code)


def _line(deal: Element, invoice: Invoice, number: int, line: StatementLine, cents: int) -> None:
    language = invoice.buyer.language
    item = _add(deal, "ram:IncludedSupplyChainTradeLineItem")
    _add(_add(item, "ram:AssociatedDocumentLineDocument"), "ram:LineID", str(number))  # [BT-126]
    product = _add(item, "ram:SpecifiedTradeProduct")
    _add(product, "ram:Name", line_name(line, words_of(language)))  # [BT-153]
    details = (invoice.tenants.get(line.tenant_id, line.tenant_id), line_detail(line, invoice.month, language))
    _add(product, "ram:Description", ", ".join(one for one in details if one))  # [BT-154]
    price, base, quantity = _priced(line, cents)
    net = _add(_add(item, "ram:SpecifiedLineTradeAgreement"), "ram:NetPriceProductTradePrice")
    _add(net, "ram:ChargeAmount", price)  # [BT-146]
    _add(net, "ram:BasisQuantity", str(base), unitCode=ONE)  # [BT-149]
    _add(_add(item, "ram:SpecifiedLineTradeDelivery"), "ram:BilledQuantity", str(quantity), unitCode=ONE)  # [BT-129]
    settlement = _add(item, "ram:SpecifiedLineTradeSettlement")
    tax = _add(settlement, "ram:ApplicableTradeTax")
    _add(tax, "ram:TypeCode", "VAT")
    _add(tax, "ram:CategoryCode", invoice.buyer.tax.category)  # [BT-151]
    _add(tax, "ram:RateApplicablePercent", _percent(invoice.buyer.tax.rate))  # [BT-152]
    if line.month:
        _period(settlement, line.month)  # [BG-26]
    sums = _add(settlement, "ram:SpecifiedTradeSettlementLineMonetarySummation")
    _add(sums, "ram:LineTotalAmount", _cents(cents))  # [BT-131]


def _priced(line: StatementLine, cents: int) -> tuple[str, int, int]:
    """Price, the quantity that it is for, and how many. A price is never below zero, so of what is, the number is.

    Of what has no price but an amount, that is the amount in cents: prices have six decimals at most (BR-FR-DEC-03).
    """
    if line.kind in (LineKind.WRITTEN_OFF, LineKind.CORRECTION):
        return _cents(abs(cents)), 1, -1 if cents < 0 else 1
    return decimal(line.pico_euro_each * MILLION), MILLION, line.quantity


def _agreement(deal: Element, invoice: Invoice) -> None:
    agreement, buyer = _add(deal, "ram:ApplicableHeaderTradeAgreement"), invoice.buyer
    if buyer.reference:
        _add(agreement, "ram:BuyerReference", buyer.reference)  # [BT-10]
    _party(_add(agreement, "ram:SellerTradeParty"), invoice.seller.party)  # [BG-4]
    _party(_add(agreement, "ram:BuyerTradeParty"), buyer.party)  # [BG-7]
    if buyer.order:
        _add(_add(agreement, "ram:BuyerOrderReferencedDocument"), "ram:IssuerAssignedID", buyer.order)  # [BT-13]


def _party(element: Element, party: Party) -> None:
    _add(element, "ram:Name", party.name)
    if party.siren:
        _add(_add(element, "ram:SpecifiedLegalOrganization"), "ram:ID", party.siren, schemeID="0002")
    address = _add(element, "ram:PostalTradeAddress")
    _add(address, "ram:PostcodeCode", party.postcode)
    _add(address, "ram:LineOne", party.street)
    _add(address, "ram:CityName", party.city)
    _add(address, "ram:CountryID", party.country)
    if party.electronic_address:
        reached = _add(element, "ram:URIUniversalCommunication")
        _add(reached, "ram:URIID", party.electronic_address, schemeID=party.electronic_scheme)
    if party.vat_id:
        _add(_add(element, "ram:SpecifiedTaxRegistration"), "ram:ID", party.vat_id, schemeID="VA")


def _settlement(deal: Element, invoice: Invoice) -> None:
    settlement, seller = _add(deal, "ram:ApplicableHeaderTradeSettlement"), invoice.seller
    _add(settlement, "ram:PaymentReference", invoice.number)  # [BT-83]
    _add(settlement, "ram:InvoiceCurrencyCode", CURRENCY)  # [BT-5]
    if seller.iban:
        means = _add(settlement, "ram:SpecifiedTradeSettlementPaymentMeans")  # [BG-16]
        _add(means, "ram:TypeCode", TRANSFER)
        _add(_add(means, "ram:PayeePartyCreditorFinancialAccount"), "ram:IBANID", seller.iban)
        if seller.bic:
            _add(_add(means, "ram:PayeeSpecifiedCreditorFinancialInstitution"), "ram:BICID", seller.bic)
    _tax(settlement, invoice)
    if invoice.month:
        _period(settlement, invoice.month)  # [BG-14]
    _date(_add(_add(settlement, "ram:SpecifiedTradePaymentTerms"), "ram:DueDateDateTime"), invoice.due_on)  # [BT-9]
    _sums(settlement, invoice)
    if invoice.preceding:
        about = _add(settlement, "ram:InvoiceReferencedDocument")  # [BG-3]
        _add(about, "ram:IssuerAssignedID", invoice.preceding.number)
        _date(_add(about, "ram:FormattedIssueDateTime"), invoice.preceding.issued_on, kind="qdt")


def _tax(settlement: Element, invoice: Invoice) -> None:
    said, totals = invoice.buyer.tax, invoice.totals
    tax = _add(settlement, "ram:ApplicableTradeTax")  # [BG-23]
    _add(tax, "ram:CalculatedAmount", _cents(totals.tax))
    _add(tax, "ram:TypeCode", "VAT")
    if said.reason:
        _add(tax, "ram:ExemptionReason", said.reason)
    _add(tax, "ram:BasisAmount", _cents(totals.lines))
    _add(tax, "ram:CategoryCode", said.category)
    if said.category is not TaxCategory.STANDARD and said.reason_code:
        _add(tax, "ram:ExemptionReasonCode", said.reason_code)
    _add(tax, "ram:RateApplicablePercent", _percent(said.rate))


def _sums(settlement: Element, invoice: Invoice) -> None:
    totals = invoice.totals
    sums = _add(settlement, "ram:SpecifiedTradeSettlementHeaderMonetarySummation")  # [BG-22]
    _add(sums, "ram:LineTotalAmount", _cents(totals.lines))
    _add(sums, "ram:TaxBasisTotalAmount", _cents(totals.lines))
    _add(sums, "ram:TaxTotalAmount", _cents(totals.tax), currencyID=CURRENCY)
    _add(sums, "ram:GrandTotalAmount", _cents(totals.with_tax))
    _add(sums, "ram:TotalPrepaidAmount", _cents(totals.paid))
    _add(sums, "ram:DuePayableAmount", _cents(totals.due))


def _period(parent: Element, month: int) -> None:
    period = _add(parent, "ram:BillingSpecifiedPeriod")
    _date(_add(period, "ram:StartDateTime"), f"{month}01")
    _date(_add(period, "ram:EndDateTime"), _ends(month))


def _ends(month: int) -> str:
    """The last day of a month."""
    return f"{month}{monthrange(*divmod(month, 100))[1]}"


def _date(parent: Element, iso: str, kind: str = "udt") -> None:
    _add(parent, f"{kind}:DateTimeString", iso.replace("-", ""), format="102")  # YYYYMMDD


def _cents(cents: int) -> str:
    return decimal(cents * PICO_PER_CENT)


def _percent(rate: int) -> str:
    return f"{rate // 100}.{rate % 100:02d}"


def _add(parent: Element, name: str, text: str = "", **attributes: str) -> Element:
    child = SubElement(parent, _name(name), attributes)
    child.text = text or None
    return child


def _name(name: str) -> str:
    prefix, _, local = name.partition(":")
    return f"{{{_NAMES[prefix]}}}{local}"
