"""Who sells and who buys, as an invoice names them."""

import re
from dataclasses import dataclass, field

from parvis.domain.billing.tax import Tax

COUNTRY = re.compile(r"[A-Z]{2}")
VAT_ID = re.compile(r"[A-Z]{2}[0-9A-Z+*.]{2,13}")
SIREN = re.compile(r"[0-9]{9}")
IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[0-9A-Z]{11,30}")
PAYMENT_DAYS = 30


@dataclass(frozen=True, slots=True)
class Party:
    """A company. Raises ValueError, naming the field, for what no invoice may hold."""

    name: str
    street: str
    postcode: str
    city: str
    country: str = "FR"
    """Two letters of ISO 3166."""
    siren: str = ""
    """Nine digits: the register of companies in France."""
    vat_id: str = ""
    legal: str = ""
    """Form, capital, register: what must stand at the foot of a paper."""
    electronic_address: str = ""
    """Where e-invoices reach it; of a company with a SIREN, that by itself."""
    electronic_scheme: str = ""
    """What kind of address: a code of the EAS list, like `0225` (SIREN) or `EM` (mail)."""

    def __post_init__(self) -> None:
        for name in ("name", "street", "postcode", "city"):
            if not getattr(self, name).strip():
                raise ValueError(f"'{name}' is missing")
        for name, form in (("country", COUNTRY), ("vat_id", VAT_ID), ("siren", SIREN)):
            text = getattr(self, name)
            if (text or name == "country") and not form.fullmatch(text):
                raise ValueError(f"'{name}' is not written as it must be")
        if bool(self.electronic_address) != bool(self.electronic_scheme):
            raise ValueError("'electronic_address' and 'electronic_scheme' go together")
        if self.siren and not self.electronic_address:
            object.__setattr__(self, "electronic_address", self.siren)
            object.__setattr__(self, "electronic_scheme", "0225")


@dataclass(frozen=True, slots=True)
class Seller:
    """The operator of this installation."""

    party: Party
    iban: str = ""
    bic: str = ""
    notes: dict[str, str] = field(default_factory=dict)
    """What the law wants to be said, by the code of its subject (UNTDID 4451): `PMD` penalties for late payment, `PMT`
    the flat fee for recovery, `AAB` discounts for early payment."""

    def __post_init__(self) -> None:
        if not self.party.vat_id:
            raise ValueError("'vat_id' of the seller is missing")
        if self.iban and not IBAN.fullmatch(self.iban):
            raise ValueError("'iban' is not written as it must be: without spaces")
        if any(not code or not text for code, text in self.notes.items()):
            raise ValueError("each of 'notes' has a code and a text")


@dataclass(frozen=True, slots=True)
class Buyer:
    """An organisation as it is invoiced."""

    party: Party
    tax: Tax = field(default_factory=Tax)
    language: str = "fr"
    reference: str = ""
    """What the buyer wants to read on each invoice: a service or an engagement."""
    order: str = ""
    """The number of the buyer's order."""
    payment_days: int = PAYMENT_DAYS
    prepaid: bool = False
    """What is used was paid by orders of credit beforehand: nothing is due any more."""

    def __post_init__(self) -> None:
        if self.language not in ("en", "fr"):
            raise ValueError("'language' is en or fr")
        if not 0 <= self.payment_days <= 120:  # noqa: PLR2004 - days
            raise ValueError("'payment_days' is 0 to 120")
        if self.tax.category == "AE" and not self.party.vat_id:
            raise ValueError("'vat_id' of the buyer is missing, without which there is no reverse charge")
