"""Promise 6: cost is exact.

A million random usages, as engines report them, are priced by the product and by an oracle in rational numbers
that knows the wire's totals and the price per million tokens, and nothing of our classes. The whole number runs
at both levels.
"""

import ast
import inspect
import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import parvis.core.money
import parvis.core.tokens
import parvis.domain.billing
from parvis.core.money import PICO_PER_EURO, Money
from parvis.core.tokens import TokenCount
from parvis.domain.billing.price import PriceList, cost
from parvis.wire.usage import CompletionDetails, PromptDetails, Usage

USAGES = 1_000_000
PRICE_LISTS = 500
SEED = 6
OFFICIAL = PriceList("2025", "*", 0, 900_000, 90_000, 4_000_000, 21_000_000)

Pricing = Callable[[TokenCount, PriceList], Money]


def price_lists(draw: random.Random) -> Iterator[PriceList]:
    """The service's own, then others between nothing and 10,000 euro a million tokens."""
    yield OFFICIAL
    for number in range(1, PRICE_LISTS):
        yield PriceList(f"v{number}", "*", 0, *(spread(draw, 34) for _ in range(4)))


def spread(draw: random.Random, bits_max: int) -> int:
    """A number of any size up to so many bits, small ones as often as large ones."""
    return draw.getrandbits(bits_max) >> int(draw.random() * (bits_max + 1))


def reported(draw: random.Random) -> Usage:
    """What an engine may report: totals, and how much of each was cached or reasoning."""
    prompt, completion = spread(draw, 32), spread(draw, 32)
    cached, reasoning = int(prompt * draw.random()), int(completion * draw.random())
    return Usage(
        prompt,
        completion,
        prompt + completion,
        PromptDetails(cached),
        CompletionDetails(reasoning),
    )


def oracle(prices: PriceList) -> Callable[[Usage], Fraction]:
    """Pico-euro of a usage, from euro per million tokens, without a whole number that could hide a rounding."""
    per_token = [
        Fraction(microeuro, 10**6) / 10**6 * PICO_PER_EURO
        for microeuro in (
            prices.input_microeuro_per_mtoken,
            prices.cached_microeuro_per_mtoken,
            prices.output_microeuro_per_mtoken,
            prices.reasoning_microeuro_per_mtoken,
        )
    ]
    uncached, cached, visible, reasoning = per_token

    def exact(usage: Usage) -> Fraction:
        from_cache = (usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens) or 0
        hidden = (usage.completion_tokens_details and usage.completion_tokens_details.reasoning_tokens) or 0
        completion = usage.completion_tokens or 0
        return (
            uncached * (usage.prompt_tokens - from_cache)
            + cached * from_cache
            + visible * (completion - hidden)
            + reasoning * hidden
        )

    return exact


def differences(pricing: Pricing, usages: int) -> int:
    """How many usages are not priced to the pico-euro."""
    draw = random.Random(SEED)
    wrong = 0
    for prices in price_lists(draw):
        exact = oracle(prices)
        for _ in range(usages // PRICE_LISTS):
            usage = reported(draw)
            tokens = usage.tokens()
            wrong += tokens is None or pricing(tokens, prices).pico_euro != exact(usage)
    return wrong


def test_a_million_usages_cost_what_fractions_say() -> None:
    assert differences(cost, USAGES) == 0


def test_control_pricing_cached_tokens_twice_is_noticed() -> None:
    def twice(tokens: TokenCount, prices: PriceList) -> Money:
        return cost(tokens._replace(input=tokens.prompt_total), prices)

    assert differences(twice, USAGES // 100) > USAGES // 200


def test_control_pricing_in_floats_is_noticed() -> None:
    def in_floats(tokens: TokenCount, prices: PriceList) -> Money:
        return Money(round(cost(tokens, prices).pico_euro / 1e12 * 1e12))

    assert differences(in_floats, USAGES // 100) > 0


# ------------------------------------------------------------------------------------------- no float in the code


def sources(*places: ModuleType) -> Iterator[str]:
    """The text of these modules, and of the modules of these packages."""
    for place in places:
        path = Path(inspect.getsourcefile(place) or "")
        for file in path.parent.glob("*.py") if path.name == "__init__.py" else [path]:
            yield file.read_text()


def floats(source: str) -> list[ast.AST]:
    """Every node that makes a float: its constants, its name, true division."""
    return [
        node
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Constant) and isinstance(node.value, float | complex))
        or (isinstance(node, ast.Name) and node.id in {"float", "complex"})
        or isinstance(node, ast.Div)
    ]


def test_billing_code_holds_no_float() -> None:
    billing = list(sources(parvis.domain.billing, parvis.core.money, parvis.core.tokens))
    assert len(billing) >= 5
    assert [floats(source) for source in billing] == [[] for _ in billing]


def test_control_a_float_in_billing_code_is_noticed() -> None:
    planted = ("due * 0.5", "due / 2", "due /= 2", "float(due)", "def half(due: float): ...")
    assert [len(floats(source)) for source in planted] == [1, 1, 1, 1, 1]
