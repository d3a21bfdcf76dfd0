"""Prices and the one function that turns tokens into money.

A price is a whole number of micro-euro per million tokens, which is the same number of pico-euro per token; so a cost
is a sum of products of integers, exact by construction.
"""

from dataclasses import dataclass
from typing import NamedTuple

from parvis.core.money import ZERO, Money
from parvis.core.tokens import TokenCount


@dataclass(frozen=True, slots=True)
class PriceList:
    """The prices of one model (or of all, `*`) from a date on, in micro-euro per million tokens."""

    version: str
    model_id: str
    valid_from_unix_ms: int
    input_microeuro_per_mtoken: int
    cached_microeuro_per_mtoken: int
    output_microeuro_per_mtoken: int
    reasoning_microeuro_per_mtoken: int

    def __post_init__(self) -> None:
        for price in (
            self.input_microeuro_per_mtoken,
            self.cached_microeuro_per_mtoken,
            self.output_microeuro_per_mtoken,
            self.reasoning_microeuro_per_mtoken,
        ):
            if type(price) is not int or price < 0:
                raise ValueError(f"a price is a whole number of micro-euro of at least 0, not {price!r}")


def cost(tokens: TokenCount, prices: PriceList) -> Money:
    """The price of these tokens: each of the four disjoint classes times its own price, once."""
    return Money(
        tokens.input * prices.input_microeuro_per_mtoken
        + tokens.cached * prices.cached_microeuro_per_mtoken
        + tokens.output * prices.output_microeuro_per_mtoken
        + tokens.reasoning * prices.reasoning_microeuro_per_mtoken
    )


def cost_max(input_tokens_max: int, output_tokens_max: int, prices: PriceList) -> Money:
    """The most that a request can cost: its tokens at the dearest class of their side."""
    dearest_input = max(prices.input_microeuro_per_mtoken, prices.cached_microeuro_per_mtoken)
    dearest_output = max(prices.output_microeuro_per_mtoken, prices.reasoning_microeuro_per_mtoken)
    return Money(input_tokens_max * dearest_input + output_tokens_max * dearest_output)


class Charge(NamedTuple):
    """How a cost is shared between the tenant and the operator."""

    billed: Money
    written_off: Money


def charge(due: Money, held: Money) -> Charge:
    """Never bill more than was held: what an engine reports above it is the operator's loss, by name."""
    if due.pico_euro <= held.pico_euro:
        return Charge(due, ZERO)
    return Charge(held, Money(due.pico_euro - held.pico_euro))


def price_in_force(lists: list[PriceList], model_id: str, at_unix_ms: int) -> PriceList | None:
    """The list that applies now: the model's own before the general one, then the latest that has begun."""
    begun = [p for p in lists if p.valid_from_unix_ms <= at_unix_ms and p.model_id in (model_id, "*")]
    return max(begun, key=lambda p: (p.model_id != "*", p.valid_from_unix_ms, p.version), default=None)
