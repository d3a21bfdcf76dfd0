"""A month of one organisation, exact to the pico-euro: one line for each price, and what was not charged of it.

sum of the amounts of all lines = sum of what the requests were billed = sum over their receipts
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from parvis.core.money import ZERO, Money
from parvis.core.quantities import NO_UNITS, Units
from parvis.core.tokens import TokenCount
from parvis.domain.billing.price import PriceList, cost, cost_of_units


class LineKind(StrEnum):
    """What a line is about: a class of tokens, another unit, or money alone."""

    INPUT = "input"
    CACHED = "cached"
    OUTPUT = "output"
    REASONING = "reasoning"
    AUDIO_MINUTES = "audio_minutes"
    """Started ones."""
    DOCUMENTS = "documents"
    IMAGES = "images"
    WRITTEN_OFF = "written_off"
    """Was delivered and is not charged; below zero."""
    CORRECTION = "correction"
    """Given back by hand; on credit notes only."""


UNIT_KINDS = frozenset({LineKind.AUDIO_MINUTES, LineKind.DOCUMENTS, LineKind.IMAGES})
"""Lines that are priced by the piece, not by the million tokens."""


class UsageSum(NamedTuple):
    """Requests of one tenant to one model at one price list, started in one month."""

    tenant_id: str
    model_id: str
    price_version: str
    month: int
    """Like 202611, of UTC."""
    requests: int
    tokens: TokenCount
    billed: Money
    written_off: Money
    units: Units = NO_UNITS


@dataclass(frozen=True, slots=True)
class StatementLine:
    """`quantity` at a price: `amount` is their product, exactly."""

    kind: LineKind
    tenant_id: str
    model_id: str
    price_version: str
    month: int
    """When it was used. Before the statement's own month: booked after that one was closed."""
    quantity: int
    """Tokens, other units, or 1."""
    pico_euro_each: int
    amount: Money
    note: str = ""
    """Why, of a correction."""


class Unexplained(ValueError):
    """What was billed is not what the tokens cost: the books are wrong, and nothing is invoiced on them."""


def lines_of(sums: Iterable[UsageSum], prices: dict[tuple[str, str], PriceList]) -> tuple[StatementLine, ...]:
    """The lines of these sums, sorted. `prices` is by version and model. Raises Unexplained, KeyError."""
    return tuple(line for one in sorted(sums) for line in _lines(one, prices[one.price_version, one.model_id]))


def _lines(one: UsageSum, prices: PriceList) -> Iterator[StatementLine]:
    due = cost(one.tokens, prices) + cost_of_units(one.units, prices)
    if due != one.billed + one.written_off:
        booked = one.billed + one.written_off
        raise Unexplained(f"Tokens of '{one.tenant_id}' cost {due} in {one.month}, and {booked} was booked for them.")
    for name, quantity in one.tokens._asdict().items():
        if quantity:
            each = cost(TokenCount(**{name: 1}), prices).pico_euro
            yield _line(one, LineKind(name), quantity, each)
    for name, quantity in one.units._asdict().items():
        if quantity:
            yield _line(one, LineKind(name), quantity, cost_of_units(Units(**{name: 1}), prices).pico_euro)
    if one.written_off > ZERO:
        yield _line(one, LineKind.WRITTEN_OFF, 1, -one.written_off.pico_euro)


def _line(one: UsageSum, kind: LineKind, quantity: int, each: int) -> StatementLine:
    place = (one.tenant_id, one.model_id, one.price_version, one.month)
    return StatementLine(kind, *place, quantity, each, Money(each) * quantity)


def total_of(lines: Iterable[StatementLine]) -> Money:
    """What all lines come to, exactly."""
    return sum((line.amount for line in lines), ZERO)
