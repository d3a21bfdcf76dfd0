"""Estimates: the count of a tokenizer where there is one, what the request can really cost, and the cheapest model."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.errors import BadRequest, NotFound, Unavailable
from parvis.core.tokens import TokenCount
from parvis.domain.billing.price import PriceList, cost, cost_max
from parvis.domain.catalog.builtin import entry
from parvis.domain.catalog.model import Capability, Model
from parvis.flows.estimates import Estimate, Offer, Question, estimate

PRICES = PriceList("v1", "*", 0, 90, 9, 400, 2100)
SMALL = Offer(entry("small", engine="a", context_tokens=100), PRICES)
LARGE = Offer(entry("large", engine="b", context_tokens=10_000), replace(PRICES, output_microeuro_per_mtoken=3000))
VECTORS = Offer(entry("vectors", engine="c", context_tokens=512, embedding=True), PRICES)
OFFERS = [LARGE, SMALL, VECTORS]
CHAT = (Capability.CHAT,)


def made(asked: Question, tokens: int | None = 10, offers: list[Offer] | None = None) -> Estimate:
    async def count(_model: Model) -> int | None:
        return tokens

    return asyncio.run(estimate(OFFERS if offers is None else offers, asked, count))


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 4), st.data())
def test_no_answer_within_the_limits_costs_less_or_more(
    tokens: int, most: int, choices: int, data: st.DataObject
) -> None:
    found = made(Question("small", 0, most, choices, CHAT), tokens)
    cached = data.draw(st.integers(0, tokens))
    output = data.draw(st.integers(0, most * choices))
    reasoning = data.draw(st.integers(0, most * choices - output))
    used = TokenCount(tokens - cached, cached, output, reasoning)
    assert found.least <= cost(used, PRICES) <= found.most
    assert found.most == cost_max(tokens, most * choices, PRICES)
    assert found.batch_most <= found.most


def test_without_a_tokenizer_it_is_about_four_characters_and_says_so() -> None:
    found = made(Question("small", 41, 5, needs=CHAT), tokens=None)
    assert (found.input_tokens, found.estimated) == (10, True)
    assert not made(Question("small", 41, 5, needs=CHAT)).estimated


def test_without_a_limit_the_answer_may_fill_the_context() -> None:
    assert made(Question("small", 0, None, needs=CHAT), tokens=30).output_tokens_max == 70


def test_an_embedding_has_no_answer() -> None:
    found = made(Question("vectors", 0, None))
    assert found.output_tokens_max == 0
    assert found.most == cost_max(10, 0, PRICES)


def test_the_cheapest_that_fits_is_found() -> None:
    assert made(Question(None, 40, 5, needs=CHAT)).offer.model.id == "small"
    assert made(Question(None, 40, 200, needs=CHAT)).offer.model.id == "large"
    assert made(Question(None, 40, 0, needs=(Capability.EMBEDDINGS,))).offer.model.id == "vectors"


def test_what_nobody_can_do_is_refused_by_name() -> None:
    for asked, tokens in (
        (Question(None, 40, 20_000, needs=CHAT), 10),
        (Question(None, 40, 5, needs=(Capability.VISION,)), 10),
        (Question("small", 40, 5, needs=CHAT), 96),
        (Question("small", 40, 5, needs=(Capability.VISION,)), 10),
    ):
        with pytest.raises(BadRequest) as refused:
            made(asked, tokens)
        assert (refused.value.code, refused.value.param) == ("model_does_not_fit", "model")
    with pytest.raises(NotFound):
        made(Question("unknown", 40, 5))
    with pytest.raises(Unavailable):
        made(Question(None, 40, 5), offers=[])
