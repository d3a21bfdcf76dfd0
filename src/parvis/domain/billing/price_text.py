"""Prices as people say them: euro per million tokens, in decimal."""

from parvis.core.money import Money

PICO_PER_MICROEURO = 1_000_000


def read_price(euro_per_mtoken: str) -> int:
    """Micro-euro per million tokens. Raises ValueError for what is no amount, below zero or finer than that."""
    pico = Money.euro(euro_per_mtoken).pico_euro
    microeuro, rest = divmod(pico, PICO_PER_MICROEURO)
    if rest or microeuro < 0:
        raise ValueError(f"{euro_per_mtoken!r} is no price: at least 0, in steps of 0.000001 euro")
    return microeuro


def write_price(microeuro_per_mtoken: int) -> str:
    """`0.9 €`, for a million tokens."""
    return str(Money(microeuro_per_mtoken * PICO_PER_MICROEURO))
