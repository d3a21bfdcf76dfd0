"""`usage` in and out: disjoint classes, the same numbers that are billed, and no guess at what contradicts itself."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.tokens import TokenCount
from parvis.wire.usage import CompletionDetails, PromptDetails, Usage, embedding_usage_json, usage_json

counts = st.integers(0, 2**40)
usages = st.builds(TokenCount, counts, counts, counts, counts)


@given(usages)
def test_what_customers_read_is_what_is_billed(tokens: TokenCount) -> None:
    assert msgspec.json.decode(usage_json(tokens), type=Usage).tokens() == tokens


@given(usages)
def test_the_totals_add_up(tokens: TokenCount) -> None:
    usage = msgspec.json.decode(usage_json(tokens))
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] == sum(tokens)
    assert usage["prompt_tokens_details"] == {"cached_tokens": tokens.cached}
    assert usage["completion_tokens_details"] == {"reasoning_tokens": tokens.reasoning}


@given(usages)
def test_an_embedding_has_no_completion(tokens: TokenCount) -> None:
    prompt = tokens.input + tokens.cached
    assert msgspec.json.decode(embedding_usage_json(tokens)) == {"prompt_tokens": prompt, "total_tokens": prompt}


small = st.integers(-3, 6)


@given(small, small, st.none() | small, st.none() | small)
def test_a_report_gives_its_classes_or_nothing(
    prompt: int, completion: int, cached: int | None, reasoning: int | None
) -> None:
    usage = Usage(prompt, completion, 0, PromptDetails(cached), CompletionDetails(reasoning))
    tokens = usage.tokens()
    sound = 0 <= (cached or 0) <= prompt and 0 <= (reasoning or 0) <= completion
    assert (tokens is not None) == sound
    if tokens is not None:
        assert (tokens.prompt_total, tokens.completion_total) == (prompt, completion)
        assert (tokens.cached, tokens.reasoning) == (cached or 0, reasoning or 0)
        assert min(tokens) >= 0


@pytest.mark.parametrize(
    ("details", "reasoning"),
    [
        (b"null", 4),
        (b"{}", 4),
        (b'{"audio_tokens":0}', 4),
        (b'{"reasoning_tokens":null}', 4),
        (b'{"reasoning_tokens":0}', 0),
        (b'{"reasoning_tokens":3}', 3),
    ],
)
def test_seen_reasoning_stands_in_where_the_engine_is_silent(details: bytes, reasoning: int) -> None:
    report = b'{"prompt_tokens":1,"completion_tokens":9,"completion_tokens_details":%b}' % details
    tokens = msgspec.json.decode(report, type=Usage).tokens(reasoning_seen=4)
    assert tokens == TokenCount(input=1, output=9 - reasoning, reasoning=reasoning)


def test_an_embedding_engine_reports_no_completion() -> None:
    usage = msgspec.json.decode(b'{"prompt_tokens":5,"completion_tokens":null,"total_tokens":5,"more":1}', type=Usage)
    assert usage.tokens() == TokenCount(input=5)
