"""What usage costs, against exact fractions of a euro; each token is priced once and nothing is rounded."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.errors import BadRequest
from parvis.core.money import PICO_PER_EURO, ZERO, Money
from parvis.core.quantities import Quantities
from parvis.core.tokens import TokenCount
from parvis.domain.billing.price import (
    PriceList,
    batch_prices,
    charge,
    cost,
    cost_max,
    cost_of,
    price_in_force,
)
from parvis.domain.billing.price_text import read_price, read_unit_price, write_price, write_unit_price
from parvis.domain.billing.transfer import Transfer, TransferKind, lease_account, tenant_account

counts = st.integers(0, 2**31)
prices = st.integers(0, 10**9)
amounts = st.integers(0, 10**18).map(Money)
usages = st.builds(TokenCount, counts, counts, counts, counts)
price_lists = st.builds(PriceList, st.just("v1"), st.just("*"), st.just(0), prices, prices, prices, prices)


def by_class(prices: PriceList) -> tuple[int, int, int, int]:
    """In the order of `TokenCount`."""
    return (
        prices.input_microeuro_per_mtoken,
        prices.cached_microeuro_per_mtoken,
        prices.output_microeuro_per_mtoken,
        prices.reasoning_microeuro_per_mtoken,
    )


def exact_euro(tokens: TokenCount, prices: PriceList) -> Fraction:
    """The definition of a price, in rational numbers: micro-euro per million tokens."""
    pairs = zip(tokens, by_class(prices), strict=True)
    return sum((Fraction(price, 10**6) * Fraction(count, 10**6) for count, price in pairs), Fraction(0))


@given(usages, price_lists)
def test_a_cost_is_the_exact_fraction(tokens: TokenCount, prices: PriceList) -> None:
    assert Fraction(cost(tokens, prices).pico_euro, PICO_PER_EURO) == exact_euro(tokens, prices)


@given(usages, usages, price_lists)
def test_usage_costs_the_same_in_one_part_or_in_two(a: TokenCount, b: TokenCount, prices: PriceList) -> None:
    both = TokenCount(*(x + y for x, y in zip(a, b, strict=True)))
    assert cost(a, prices) + cost(b, prices) == cost(both, prices)


@pytest.mark.parametrize("place", range(4))
def test_each_class_has_its_own_price(place: int) -> None:
    prices = PriceList("v1", "*", 0, 1, 10, 100, 1000)
    tokens = TokenCount(*(7 if other == place else 0 for other in range(4)))
    assert cost(tokens, prices) == Money(7 * 10**place)


@given(usages)
def test_the_totals_of_the_wire_are_sums_of_disjoint_classes(tokens: TokenCount) -> None:
    assert tokens.prompt_total == tokens.input + tokens.cached
    assert tokens.completion_total == tokens.output + tokens.reasoning
    assert tokens.total == tokens.prompt_total + tokens.completion_total == sum(tokens)


@given(usages, price_lists)
def test_no_usage_within_its_bounds_costs_more_than_the_worst_case(tokens: TokenCount, prices: PriceList) -> None:
    assert cost(tokens, prices) <= cost_max(tokens.prompt_total, tokens.completion_total, prices)


@given(counts, counts, price_lists)
def test_the_worst_case_is_reached(input_max: int, output_max: int, prices: PriceList) -> None:
    reached = [
        cost(tokens, prices)
        for tokens in (
            TokenCount(input=input_max, output=output_max),
            TokenCount(cached=input_max, output=output_max),
            TokenCount(input=input_max, reasoning=output_max),
            TokenCount(cached=input_max, reasoning=output_max),
        )
    ]
    assert max(reached) == cost_max(input_max, output_max, prices)


@given(amounts, amounts)
def test_a_charge_is_shared_without_a_rest_and_never_above_the_hold(due: Money, held: Money) -> None:
    billed, written_off = charge(due, held)
    assert billed + written_off == due
    assert ZERO <= billed <= held
    assert written_off >= ZERO
    assert billed == held or written_off == ZERO


@pytest.mark.parametrize("price", [-1, 1.0, True, "1"])
def test_a_price_that_is_no_whole_number_is_refused(price: int) -> None:
    for place in range(4):
        four = [1, 1, 1, 1]
        four[place] = price
        with pytest.raises(ValueError, match="whole number"):
            PriceList("v1", "*", 0, *four)


# --------------------------------------------------------------------------------------- batches, and other units


@given(usages, price_lists)
def test_a_batch_costs_half_of_each_class_rounded_half_to_even(tokens: TokenCount, prices: PriceList) -> None:
    halves = [round(Fraction(price, 2)) for price in by_class(prices)]
    assert list(by_class(batch_prices(prices))) == halves
    assert cost(tokens, batch_prices(prices)) == Money(sum(n * p for n, p in zip(tokens, halves, strict=True)))


def test_a_batch_price_that_is_said_stands() -> None:
    prices = PriceList("v1", "*", 0, 10, 10, 10, 10, batch_output_microeuro_per_mtoken=7)
    assert by_class(batch_prices(prices)) == (5, 5, 7, 5)
    assert batch_prices(prices).version == "v1"


@given(st.integers(0, 10**9), counts, counts, st.tuples(*[st.integers(0, 10**12)] * 3))
def test_units_cost_their_price_each_and_audio_its_started_minutes(
    audio_ms: int, documents: int, images: int, by_unit: tuple[int, int, int]
) -> None:
    prices = PriceList("v1", "*", 0, 1, 1, 1, 1, 0, 0, 0, 0, *by_unit)
    minutes = -(-audio_ms // 60_000)
    expected = sum(n * price for n, price in zip((minutes, documents, images), by_unit, strict=True))
    assert cost_of(Quantities(audio_ms, documents, images), prices) == Money(expected)


def test_a_started_minute_is_a_minute() -> None:
    prices = PriceList("v1", "*", 0, 1, 1, 1, 1, audio_pico_euro_per_minute=10)
    told = [cost_of(Quantities(audio_ms=ms), prices).pico_euro for ms in (0, 1, 60_000, 60_001)]
    assert told == [0, 10, 10, 20]


@pytest.mark.parametrize(("bought", "named"), [((1, 0, 0), "audio"), ((0, 1, 0), "rerank"), ((0, 0, 1), "images")])
def test_what_has_no_price_is_not_sold(bought: tuple[int, int, int], named: str) -> None:
    prices = PriceList("v1", "*", 0, 1, 1, 1, 1)
    assert cost_of(Quantities(), prices) == ZERO
    with pytest.raises(BadRequest, match=named):
        cost_of(Quantities(*bought), prices)


# ------------------------------------------------------------------------------------------ which list applies

dated = st.builds(
    PriceList,
    st.text("ab", min_size=1, max_size=3),
    st.sampled_from(["*", "small", "large"]),
    st.integers(0, 20),
    *[st.just(1)] * 4,
)


@given(st.lists(dated, max_size=8), st.sampled_from(["small", "other"]), st.integers(0, 20))
def test_the_list_in_force_has_begun_and_none_goes_before_it(lists: list[PriceList], model_id: str, now: int) -> None:
    rivals = [p for p in lists if p.model_id in (model_id, "*") and p.valid_from_unix_ms <= now]
    found = price_in_force(lists, model_id, now)
    if found is None:
        assert rivals == []
        return
    assert found in rivals
    own = [p for p in rivals if p.model_id == model_id] or rivals
    assert found in own
    assert found.valid_from_unix_ms == max(p.valid_from_unix_ms for p in own)


@given(st.lists(dated, max_size=8), st.lists(dated, max_size=4), st.integers(0, 20))
def test_lists_that_begin_later_never_touch_the_past(lists: list[PriceList], later: list[PriceList], at: int) -> None:
    future = [p for p in later if p.valid_from_unix_ms > at]
    for model_id in ("small", "other"):
        assert price_in_force([*future, *lists], model_id, at) == price_in_force(lists, model_id, at)


def test_a_list_begins_at_its_very_millisecond() -> None:
    old = PriceList("old", "*", 0, 1, 1, 1, 1)
    new = PriceList("new", "*", 1000, 2, 2, 2, 2)
    assert price_in_force([new, old], "m", 999) is old
    assert price_in_force([new, old], "m", 1000) is new


@given(st.permutations([PriceList(f"v{n}", "*", 5, n, n, n, n) for n in range(3)]))
def test_of_two_lists_of_one_moment_the_same_one_is_taken_in_any_order(lists: list[PriceList]) -> None:
    found = price_in_force(lists, "m", 9)
    assert found is not None
    assert found.version == "v2"


# ---------------------------------------------------------------------------------------------- prices in words


@given(prices)
def test_a_price_that_is_written_reads_back(microeuro: int) -> None:
    assert read_price(write_price(microeuro).removesuffix(" €")) == microeuro


@pytest.mark.parametrize(("said", "microeuro"), [("0.90", 900_000), ("4", 4_000_000), ("0.000001", 1), ("0", 0)])
def test_a_price_is_read_as_people_say_it(said: str, microeuro: int) -> None:
    assert read_price(said) == microeuro


@given(st.integers(0, 10**15))
def test_a_unit_price_that_is_written_reads_back(pico_euro: int) -> None:
    text = write_unit_price(pico_euro)
    assert text is not None
    assert read_unit_price(text.removesuffix(" €")) == pico_euro
    assert write_unit_price(None) is None


def test_a_price_of_many_is_one_for_each() -> None:
    assert read_unit_price("4", 1_000_000) == 4_000_000
    with pytest.raises(ValueError, match="one unit"):
        read_unit_price("0.000000000001", 3)


@pytest.mark.parametrize("said", ["-0.1", "0.0000001", "dear", "", "nan", "inf"])
def test_what_is_no_price_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match=repr(said)):
        read_price(said)


# ------------------------------------------------------------------------------------------------- transfers


def test_a_transfer_moves_something_between_two_accounts() -> None:
    tenant, lease = tenant_account("t"), lease_account("t", "gw")
    assert Transfer(TransferKind.GRANT, "r", tenant, lease, Money(1)).amount == Money(1)
    for debit, credit, amount in ((tenant, lease, 0), (tenant, lease, -1), (tenant, tenant, 1)):
        with pytest.raises(ValueError, match="transfer"):
            Transfer(TransferKind.GRANT, "r", debit, credit, Money(amount))
