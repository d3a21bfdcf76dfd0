"""Prices and the one function that turns tokens into money.

A price is a whole number of micro-euro per million tokens, which is the same number of pico-euro per token; so a cost
is a sum of products of integers, exact by construction. What is not counted in tokens costs whole pico-euro a unit.
Nothing else multiplies by a price (a test reads the source).
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from parvis.core.errors import BadRequest
from parvis.core.money import ZERO, Money
from parvis.core.quantities import Quantities, Units
from parvis.core.tokens import TokenCount

HALF = -1
"""Stands for a batch price that nobody said, while a list is made: half of the price of its class."""


@dataclass(frozen=True, slots=True)
class PriceList:
    """The prices of one model (or of all, `*`) from a date on, in micro-euro per million tokens and pico-euro per unit.

    A batch price that is not said is half of its class's, rounded once, half to even, when the list is made. What has
    no price by the unit (None) is not sold.
    """

    version: str
    model_id: str
    valid_from_unix_ms: int
    input_microeuro_per_mtoken: int
    cached_microeuro_per_mtoken: int
    output_microeuro_per_mtoken: int
    reasoning_microeuro_per_mtoken: int
    batch_input_microeuro_per_mtoken: int = HALF
    batch_cached_microeuro_per_mtoken: int = HALF
    batch_output_microeuro_per_mtoken: int = HALF
    batch_reasoning_microeuro_per_mtoken: int = HALF
    audio_pico_euro_per_minute: int | None = None
    """Of a started minute."""
    rerank_pico_euro_per_document: int | None = None
    image_pico_euro_each: int | None = None

    def __post_init__(self) -> None:
        for name in TOKEN_PRICES:
            price = _whole(getattr(self, name))
            if getattr(self, "batch_" + name) == HALF:
                object.__setattr__(self, "batch_" + name, half(price))
            _whole(getattr(self, "batch_" + name))
        for name in UNIT_PRICES:
            if getattr(self, name) is not None:
                _whole(getattr(self, name))


TOKEN_PRICES = tuple(f"{name}_microeuro_per_mtoken" for name in TokenCount._fields)
"""The fields of a list that price tokens, in the order of `TokenCount`; for batch, each with `batch_` before it."""
UNIT_PRICES = ("audio_pico_euro_per_minute", "rerank_pico_euro_per_document", "image_pico_euro_each")


def _whole(price: object) -> int:
    if type(price) is not int or price < 0:
        raise ValueError(f"a price is a whole number of at least 0, not {price!r}")
    return price


def half(price: int) -> int:
    """Half of a price, half to even where it is odd."""
    lower, rest = divmod(price, 2)
    return lower + (rest & lower)


def batch_prices(prices: PriceList) -> PriceList:
    """The list by which a batch is priced: the same, with the batch prices in the places of the others."""
    return replace(prices, **{name: getattr(prices, "batch_" + name) for name in TOKEN_PRICES})


def cost(tokens: TokenCount, prices: PriceList) -> Money:
    """The price of these tokens: each of the four disjoint classes times its own price, once."""
    return Money(
        tokens.input * prices.input_microeuro_per_mtoken
        + tokens.cached * prices.cached_microeuro_per_mtoken
        + tokens.output * prices.output_microeuro_per_mtoken
        + tokens.reasoning * prices.reasoning_microeuro_per_mtoken
    )


def cost_of(quantities: Quantities, prices: PriceList) -> Money:
    """The price of these, each by its unit; of audio, every started minute. Raises BadRequest for what is not sold."""
    return cost_of_units(quantities.units, prices)


def cost_of_units(units: Units, prices: PriceList) -> Money:
    """The same, of what is billed. Raises BadRequest for what is not sold."""
    return Money(
        units.audio_minutes * _sold(units.audio_minutes, prices.audio_pico_euro_per_minute, "audio")
        + units.documents * _sold(units.documents, prices.rerank_pico_euro_per_document, "rerank")
        + units.images * _sold(units.images, prices.image_pico_euro_each, "images")
    )


def _sold(count: int, price: int | None, what: str) -> int:
    if price is None and count:
        raise BadRequest(
            f"There is no price for {what}, so it is not sold. Ask your operator to set one.",
            code="not_sold",
            param="model",
        )
    return price or 0


def cost_max(input_tokens_max: int, output_tokens_max: int, prices: PriceList) -> Money:
    """The most that a request can cost: its tokens at the dearest class of their side."""
    dearest_input = max(prices.input_microeuro_per_mtoken, prices.cached_microeuro_per_mtoken)
    dearest_output = max(prices.output_microeuro_per_mtoken, prices.reasoning_microeuro_per_mtoken)
    return Money(input_tokens_max * dearest_input + output_tokens_max * dearest_output)


def whole_max(input_tokens_max: int, output_tokens_max: int, quantities: Quantities | None, prices: PriceList) -> Money:
    """The same with what is used beside tokens. Raises BadRequest for what is not sold."""
    tokens = cost_max(input_tokens_max, output_tokens_max, prices)
    return tokens if quantities is None else tokens + cost_of(quantities, prices)


def whole_cost(tokens: TokenCount, quantities: Quantities | None, prices: PriceList) -> Money:
    """What a request costs. Raises BadRequest for what is not sold."""
    return cost(tokens, prices) if quantities is None else cost(tokens, prices) + cost_of(quantities, prices)


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
