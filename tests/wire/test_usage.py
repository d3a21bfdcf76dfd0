"""`usage` in and out: disjoint classes, the same numbers that are billed, and no guess at what contradicts itself."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.tokens import TokenCount
from parvis.wire.chunk_shapes import Timings
from parvis.wire.usage import (
    CLAIM_CHARS_MAX,
    CompletionDetails,
    PromptDetails,
    Usage,
    claim_text,
    embedding_usage_json,
    usage_json,
)

counts = st.integers(0, 2**40)
NAMES = ("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "cached_tokens", "predicted_n")
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


# -------------------------------------------------------------------------------------- what is set aside

hostile = st.recursive(
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=300)
    | st.none()
    | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*NAMES, "secret"]), inner, max_size=9),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*NAMES, "prompt", "choices"]), hostile, max_size=9))
def test_a_claim_is_short_and_has_numbers_and_names_of_ours_alone(claimed: dict[str, object]) -> None:
    text = claim_text("contradiction", msgspec.Raw(msgspec.json.encode(claimed)))
    assert len(text) <= CLAIM_CHARS_MAX
    told = msgspec.json.decode(text)
    assert told["why"] == "contradiction"
    assert set(told["claimed"]) <= set(NAMES) or told["claimed"] == "too long"


@pytest.mark.parametrize("said", ["a secret word", ["a secret word"], {"secret": "a secret word"}])
def test_a_claim_never_has_content(said: object) -> None:
    raw = msgspec.Raw(msgspec.json.encode({"completion_tokens": said, "prompt_tokens": 3}))
    assert "secret" not in claim_text("contradiction", raw)


def test_a_claim_of_numbers_is_kept_as_it_was() -> None:
    usage = Usage(5, -1, 4, PromptDetails(9), None)
    claimed = {"prompt_tokens": 5, "completion_tokens": -1, "total_tokens": 4}
    told = msgspec.json.decode(claim_text("contradiction", usage))
    assert told["claimed"] == {**claimed, "prompt_tokens_details": {"cached_tokens": 9}}
    told = msgspec.json.decode(claim_text("a_count_that_fell", Timings(1, 2, 2**70)))
    assert told["claimed"] == {"prompt_n": 1, "cache_n": 2, "predicted_n": str(2**70)}
