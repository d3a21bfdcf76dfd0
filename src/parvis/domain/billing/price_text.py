"""Prices as people say them: euro per million tokens, or per unit, in decimal."""

from parvis.core.money import Money

PICO_PER_MICROEURO = 1_000_000


def read_price(euro_per_mtoken: str) -> int:
    """Micro-euro per million tokens. Raises ValueError for what is no amount, below zero or finer than that."""
    microeuro, rest = divmod(read_unit_price(euro_per_mtoken), PICO_PER_MICROEURO)
    if rest:
        raise ValueError(f"{euro_per_mtoken!r} is no price: at least 0, in steps of 0.000001 euro")
    return microeuro


def write_price(microeuro_per_mtoken: int) -> str:
    """`0.9 €`, for a million tokens."""
    return str(Money(microeuro_per_mtoken * PICO_PER_MICROEURO))


def read_unit_price(euro: str, units: int = 1) -> int:
    """Pico-euro a unit, of a price for so many. Raises ValueError for what is no amount or does not divide."""
    pico, rest = divmod(Money.euro(euro).pico_euro, units)
    if rest or pico < 0:
        raise ValueError(f"{euro!r} is no price: at least 0, and whole pico-euro for one unit")
    return pico


def write_unit_price(pico_euro: int | None) -> str | None:
    """`0.01 €`, for one unit; None for what is not sold."""
    return None if pico_euro is None else str(Money(pico_euro))
