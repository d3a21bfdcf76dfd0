"""Value-added tax of an invoice: one category and one rate for all of its lines, as EN 16931 names them.

Which one holds is said by the operator for each organisation: it depends on who buys from where, not on what is used.
"""

from dataclasses import dataclass
from enum import StrEnum

PERCENT = 100
"""Rates are in hundredths of a percent: 2000 is 20 %."""
_WHOLE = 100 * PERCENT


class TaxCategory(StrEnum):
    """The codes of UNCL 5305 that fit a service."""

    STANDARD = "S"
    REVERSE_CHARGE = "AE"
    """The buyer owes the tax: a business in another country of the Union."""
    EXEMPT = "E"
    EXPORT = "G"
    """A buyer outside of the Union."""


_REASONS = {TaxCategory.REVERSE_CHARGE: "VATEX-EU-AE", TaxCategory.EXPORT: "VATEX-EU-G"}
"""The code of the VATEX list that a category has by itself."""


@dataclass(frozen=True, slots=True)
class Tax:
    """How an organisation is taxed. Raises ValueError for what EN 16931 forbids."""

    category: TaxCategory = TaxCategory.STANDARD
    rate: int = 20 * PERCENT
    reason_code: str = ""
    """Of the VATEX list, like `VATEX-EU-132-1I` or `VATEX-FR-FRANCHISE`: why nothing is added."""
    reason: str = ""
    """The same in words, or instead of a code."""

    def __post_init__(self) -> None:
        if self.category is TaxCategory.STANDARD:
            if not 0 < self.rate <= _WHOLE or self.reason_code or self.reason:
                raise ValueError("the standard category has a rate above 0, and no reason why it would have none")
            return
        if self.rate:
            raise ValueError(f"the category {self.category} has the rate 0")
        if not self.reason_code:
            object.__setattr__(self, "reason_code", _REASONS.get(self.category, ""))
        if not self.reason_code and not self.reason:
            raise ValueError(f"the category {self.category} needs a reason: a code of the VATEX list, or words")


def divided_half_even(amount: int, by: int) -> int:
    """The quotient of whole numbers, rounded once; what is in the middle goes to the even side."""
    below, rest = divmod(amount, by)
    return below + (2 * rest > by or (2 * rest == by and below % 2))


def tax_cents(taxable_cents: int, rate: int) -> int:
    """The tax on a sum, rounded once (BR-CO-17)."""
    return divided_half_even(taxable_cents * rate, _WHOLE)
