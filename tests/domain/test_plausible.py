"""What an engine claims: booked when it can be, named when it cannot, and never in between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.tokens import TokenCount
from parvis.domain.metering.plausible import Ceiling, fault, is_plausible, split_reasoning

any_count = st.integers(-3, 40) | st.sampled_from([-(2**63), 2**53, 2**53 + 1, 2**64])
claims = st.builds(TokenCount, any_count, any_count, any_count, any_count)
bounds = st.integers(0, 60)
ceilings = st.builds(Ceiling, bounds, bounds)
true_counts = st.builds(TokenCount, bounds, bounds, bounds, bounds)


@given(claims, ceilings, bounds)
def test_the_quick_look_and_the_reason_agree(tokens: TokenCount, ceiling: Ceiling, delivered_max: int) -> None:
    assert is_plausible(tokens, ceiling, delivered_max) == (not fault(tokens, ceiling, delivered_max))


@given(claims, ceilings, bounds)
def test_what_passes_is_inside_every_bound(tokens: TokenCount, ceiling: Ceiling, delivered_max: int) -> None:
    inside = (
        all(count >= 0 for count in tokens)
        and tokens.input + tokens.cached <= ceiling.prompt_tokens_max
        and tokens.output + tokens.reasoning <= min(ceiling.completion_tokens_max, delivered_max)
    )
    assert is_plausible(tokens, ceiling, delivered_max) == inside


@given(true_counts, bounds, bounds, bounds)
def test_an_honest_count_passes_whatever_the_bounds_leave(tokens: TokenCount, a: int, b: int, c: int) -> None:
    ceiling = Ceiling(tokens.prompt_total + a, tokens.completion_total + b)
    assert fault(tokens, ceiling, tokens.completion_total + c) == ""


@pytest.mark.parametrize(
    ("tokens", "named"),
    [
        (None, "contradiction"),
        (TokenCount(input=-1), "contradiction"),
        (TokenCount(input=6, cached=5), "prompt_above_its_text"),
        (TokenCount(output=20, reasoning=1), "completion_above_its_limit"),
        (TokenCount(output=10, reasoning=6), "completion_above_what_came"),
        (TokenCount(2**53, 0, 0, 0), "prompt_above_its_text"),
        (TokenCount(10, 0, 10, 5), ""),
    ],
)
def test_every_fault_has_a_name(tokens: TokenCount | None, named: str) -> None:
    assert fault(tokens, Ceiling(10, 20), 15) == named


@given(true_counts, st.integers(-5, 200))
def test_a_split_keeps_the_completion_and_the_prompt(tokens: TokenCount, reasoning: int) -> None:
    split = split_reasoning(tokens, reasoning)
    assert (split.prompt_total, split.completion_total) == (tokens.prompt_total, tokens.completion_total)
    assert min(split) >= 0
    assert split.reasoning <= max(reasoning, 0)
