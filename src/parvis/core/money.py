"""Money as a whole number of pico-euro (1 € = 10^12), so that every token's price is exact.

A price of 1 micro-euro per million tokens is 1 pico-euro per token. Nothing is rounded before an invoice.
"""

from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Self

PICO_PER_EURO = 10**12
_EXACT = Context(prec=36, Emax=36, Emin=-36, traps=[Inexact, InvalidOperation])
"""Raises where the usual context would round in silence, beyond 28 digits."""


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount in pico-euro; may be negative in differences, never in a transfer."""

    pico_euro: int

    def __post_init__(self) -> None:
        if type(self.pico_euro) is not int:
            kind = type(self.pico_euro).__name__
            raise TypeError(f"Money counts whole pico-euro, not {kind}")

    @classmethod
    def euro(cls, amount: str | int) -> Self:
        """Read a decimal amount of euro. Raises ValueError below one pico-euro or when it is no number."""
        try:
            return cls(int(_EXACT.to_integral_exact(_EXACT.multiply(Decimal(amount), PICO_PER_EURO))))
        except Inexact:
            raise ValueError(f"{amount!r} is finer than one pico-euro, or too long") from None
        except (ArithmeticError, ValueError):
            raise ValueError(f"{amount!r} is not an amount of euro") from None

    def __add__(self, other: "Money") -> "Money":
        return Money(self.pico_euro + other.pico_euro)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.pico_euro - other.pico_euro)

    def __mul__(self, count: int) -> "Money":
        return Money(self.pico_euro * count)

    def __str__(self) -> str:
        """All digits that count: `0.00000009 €`."""
        return self.decimal() + " €"

    def decimal(self) -> str:
        """All digits that count, of euro: `0.00000009`."""
        sign, amount = ("-", -self.pico_euro) if self.pico_euro < 0 else ("", self.pico_euro)
        whole, part = divmod(amount, PICO_PER_EURO)
        return f"{sign}{whole}.{part:012d}".rstrip("0").rstrip(".")


ZERO = Money(0)
