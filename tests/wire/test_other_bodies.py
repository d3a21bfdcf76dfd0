"""Completions and embeddings: what is taken, what is refused, and how numbers travel as base64."""

import base64
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.errors import BadRequest
from parvis.wire.completion import MAX_TOKENS_DEFAULT, PROMPTS_MAX, CompletionBody, read_completion
from parvis.wire.embedding import INPUTS_MAX, EmbeddingBody, as_base64, read_embedding
from parvis.wire.problem import problem_json


def completion(**fields: Any) -> CompletionBody:
    return read_completion(msgspec.json.encode({"model": "m", "prompt": "p", **fields}))


def embedding(**fields: Any) -> EmbeddingBody:
    return read_embedding(msgspec.json.encode({"model": "m", "input": "i", **fields}))


# ----------------------------------------------------------------------------------------------- completions


def test_a_completion_is_as_long_as_the_protocol_says() -> None:
    assert completion().max_tokens == MAX_TOKENS_DEFAULT == 16
    assert completion(max_tokens=3).max_tokens == 3


def test_one_prompt_or_several() -> None:
    assert completion().prompts() == ["p"]
    assert list(completion(prompt=["a", "b"]).texts()) == ["a", "b"]


@pytest.mark.parametrize(
    "fields",
    [{"best_of": 1}, {"best_of": 2, "n": 2}, {"echo": False}, {"suffix": ""}, {"user": "u"}, {"best_of": None}],
)
def test_what_changes_nothing_is_taken_and_not_sent_on(fields: dict[str, Any]) -> None:
    sent = msgspec.to_builtins(completion(**fields))
    assert sent.items() - {"n": 2}.items() == {"model": "m", "prompt": "p", "max_tokens": 16}.items()


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"best_of": 2}, "unsupported_parameter", "best_of"),
        ({"best_of": 1_000_000, "n": 2}, "unsupported_parameter", "best_of"),
        ({"echo": True}, "unsupported_parameter", "echo"),
        ({"suffix": "s"}, "unsupported_parameter", "suffix"),
        ({"prompt": [1, 2]}, "unsupported_parameter", "prompt"),
        ({"prompt": [[1, 2]]}, "unsupported_parameter", "prompt"),
        ({"prompt": ["a"] * (PROMPTS_MAX + 1)}, "invalid_value", "prompt"),
        ({"prompt": []}, "invalid_value", "prompt"),
        ({"prompt": None}, "invalid_value", "prompt"),
        ({"n": 9}, "invalid_value", "n"),
        ({"logprobs": 6}, "invalid_value", "logprobs"),
        ({"max_tokens": 0}, "invalid_value", "max_tokens"),
        ({"stream_options": {"include_usage": True}}, "invalid_value", "stream_options"),
        ({"messages": []}, "unknown_parameter", "messages"),
        ({"guided_choice": []}, "unknown_parameter", "guided_choice"),
    ],
)
def test_a_completion_is_refused_by_name(fields: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        completion(**fields)
    assert (refused.value.code, refused.value.param) == (code, param)


# ------------------------------------------------------------------------------------------------ embeddings


def test_one_input_or_several() -> None:
    assert embedding().inputs() == ["i"]
    assert list(embedding(input=["a", "b"]).texts()) == ["a", "b"]


def test_the_encoding_is_the_clients_to_choose() -> None:
    assert embedding(encoding_format="base64").encoding_format == "base64"
    assert embedding(user="u").user is None


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"input": [1, 2]}, "unsupported_parameter", "input"),
        ({"input": [[1, 2]]}, "unsupported_parameter", "input"),
        ({"input": ["a"] * (INPUTS_MAX + 1)}, "invalid_value", "input"),
        ({"input": []}, "invalid_value", "input"),
        ({"input": ""}, "invalid_value", "input"),
        ({"input": ["a", ""]}, "invalid_value", "input[1]"),
        ({"dimensions": 0}, "invalid_value", "dimensions"),
        ({"encoding_format": "hex"}, "invalid_value", "encoding_format"),
        ({"truncate": True}, "unknown_parameter", "truncate"),
    ],
)
def test_an_embedding_is_refused_by_name(fields: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        embedding(**fields)
    assert (refused.value.code, refused.value.param) == (code, param)


def test_token_numbers_are_refused_with_what_to_do() -> None:
    with pytest.raises(BadRequest, match="check_embedding_ctx_length=False"):
        embedding(input=[[101, 102]])


@given(st.lists(st.floats(width=32, allow_nan=False)))
def test_base64_holds_the_same_numbers(vector: list[float]) -> None:
    raw = base64.b64decode(as_base64(vector), validate=True)
    assert list(struct.unpack(f"<{len(vector)}f", raw)) == vector


def test_base64_is_little_endian_floats_of_32_bits() -> None:
    assert as_base64([1.0, -2.0]) == base64.b64encode(bytes.fromhex("0000803f000000c0")).decode()


# ----------------------------------------------------------------------------------------------------- errors


@given(st.text(), st.none() | st.text(), st.none() | st.text())
def test_an_error_has_its_four_keys_always(message: str, code: str | None, param: str | None) -> None:
    error = msgspec.json.decode(problem_json(message, "invalid_request_error", code, param))
    assert error == {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}
