"""What an invoice says in English and in French, and how each writes numbers and dates."""

from datetime import date

from parvis.core.money import PICO_PER_EURO
from parvis.domain.billing.statement import LineKind, StatementLine

Words = dict[str, str]
_SPACE, _NARROW = "\u00a0", "\u202f"

ENGLISH: Words = {
    "invoice": "Invoice",
    "credit_note": "Credit note",
    "number": "Number",
    "issued": "Issued on",
    "due": "Due on",
    "month": "Usage of",
    "about": "About invoice",
    "order": "Your order",
    "reference": "Your reference",
    "buyer": "Billed to",
    "vat_id": "VAT",
    "description": "Description",
    "quantity": "Tokens or units",
    "price": "€ per million",
    "price_each": "each",
    "amount": "Amount €",
    "prices": "prices",
    "late": "used in",
    "lines": "Total without tax",
    "tax": "VAT",
    "with_tax": "Total with tax",
    "paid": "Paid by credit",
    "to_pay": "Amount due",
    "to_return": "Amount in your favour",
    "page": "Page",
    "payment": "Payment by bank transfer",
    "exactly": "Before rounding, the lines come to exactly",
    "proof": "Every request has a signed receipt, and the receipts come to that sum. Statement, SHA-256:",
    "input": "input tokens",
    "cached": "input tokens from the cache",
    "output": "output tokens",
    "reasoning": "reasoning tokens",
    "audio_minutes": "started minutes of audio",
    "documents": "ranked documents",
    "images": "images",
    "written_off": "delivered and not charged",
    "correction": "correction",
}
FRENCH: Words = {
    "invoice": "Facture",
    "credit_note": "Avoir",
    "number": "Numéro",
    "issued": "Émise le",
    "due": "À payer avant le",
    "month": "Consommation de",
    "about": "Sur la facture",
    "order": "Votre commande",
    "reference": "Votre référence",
    "buyer": "Facturé à",
    "vat_id": "TVA",
    "description": "Désignation",
    "quantity": "Jetons ou unités",
    "price": "€ par million",
    "price_each": "l'unité",
    "amount": "Montant €",
    "prices": "tarif",
    "late": "utilisés en",
    "lines": "Total hors taxes",
    "tax": "TVA",
    "with_tax": "Total toutes taxes comprises",
    "paid": "Payé par crédit",
    "to_pay": "Net à payer",
    "to_return": "Net en votre faveur",
    "page": "Page",
    "payment": "Paiement par virement",
    "exactly": "Avant arrondi, les lignes font exactement",
    "proof": "Chaque requête a un reçu signé, et les reçus font ce total. Relevé, SHA-256 :",
    "input": "jetons en entrée",
    "cached": "jetons en entrée, du cache",
    "output": "jetons en sortie",
    "reasoning": "jetons de raisonnement",
    "audio_minutes": "minutes d'audio commencées",
    "documents": "documents classés",
    "images": "images",
    "written_off": "livré et non facturé",
    "correction": "correction",
}
_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
}


def words_of(language: str) -> Words:
    """The words of `en` or `fr`."""
    return FRENCH if language == "fr" else ENGLISH


def date_text(iso: str, language: str) -> str:
    """`23 November 2026`."""
    day = date.fromisoformat(iso)
    return f"{day.day}{_SPACE}{month_text(day.year * 100 + day.month, language)}"


def month_text(month: int, language: str) -> str:
    """`November 2026`."""
    year, number = divmod(month, 100)
    return f"{_MONTHS[language].split()[number - 1]}{_SPACE}{year}"


def whole_text(number: int, language: str) -> str:
    """`1,234,567`, in French with narrow spaces."""
    text = f"{number:,}"
    return text.replace(",", _NARROW) if language == "fr" else text


def cents_text(cents: int, language: str) -> str:
    """`1,234.50`, in French `1 234,50`."""
    sign, (whole, part) = "\N{MINUS SIGN}" * (cents < 0), divmod(abs(cents), 100)
    return f"{sign}{whole_text(whole, language)}{',' if language == 'fr' else '.'}{part:02d}"


def decimal(pico: int) -> str:
    """Whole pico-euro as euro, with all digits that count and at least two: `0.90`, `-0.000000000001`."""
    sign, (whole, part) = "-" * (pico < 0), divmod(abs(pico), PICO_PER_EURO)
    digits = f"{part:012d}".rstrip("0")
    return f"{sign}{whole}.{digits:0<2}"


def exact_text(pico: int, language: str) -> str:
    """The same for people."""
    text = decimal(pico)
    return text.replace(".", ",") if language == "fr" else text


def line_name(line: StatementLine, words: Words) -> str:
    """What a line is about: `acme/7b, output tokens`."""
    what = words[line.kind]
    if line.kind is LineKind.CORRECTION:
        return f"{what}: {line.note}" if line.note else what
    return f"{line.model_id}, {what}"


def line_detail(line: StatementLine, month: int, language: str) -> str:
    """By which prices, and when it was used if that was before the month of the invoice."""
    words = words_of(language)
    if line.kind is LineKind.CORRECTION:
        return ""
    late = f", {words['late']} {month_text(line.month, language)}" if line.month < month else ""
    return f"{words['prices']} {line.price_version}{late}"
