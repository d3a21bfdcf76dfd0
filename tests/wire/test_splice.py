"""A chunk passes as the engine wrote it, but for its id, its model, its time and its counts."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from parvis.core.tokens import TokenCount
from parvis.wire.chunk_shapes import Chunk, count_so_far, read_chunk
from parvis.wire.chunks import Splice, has_text, is_reasoning, usage_event

ID, MODEL = "chatcmpl-ours", "ours"
USAGE = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4, "prompt_tokens_details": {"cached_tokens": 1}}
TIMINGS = {"cache_n": 1, "prompt_n": 2, "predicted_n": 5, "prompt_ms": 1.5, "predicted_per_second": 1e-9}

Write = Callable[[Any], bytes]


def spaced(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def ascii_only(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


writers = st.sampled_from([msgspec.json.encode, spaced, ascii_only])


def spliced(first: bytes, payload: bytes, *, usage_null: bool = False) -> bytes:
    splice = Splice(read_chunk(first), first, ID, MODEL, usage_null=usage_null)
    return splice.apply(read_chunk(payload), payload)


# ------------------------------------------------------------------------------------------------- any chunk

tricky = st.sampled_from(
    [
        '"usage":{}',
        '"usage":null',
        "{,",
        ',"usage":null',
        '"id":"theirs"',
        "theirs",
        '"created":1',
        "\\",
        '"',
        "{",
        "é",
        "\u2028",
    ]
)
texts = st.lists(tricky | st.text(max_size=5), max_size=4).map("".join)
deltas = st.fixed_dictionaries(
    {},
    optional={
        "content": texts,
        "reasoning_content": texts,
        "role": st.just("assistant"),
        "tool_calls": st.lists(
            st.fixed_dictionaries(
                {"index": st.integers(0, 3), "id": texts, "function": st.fixed_dictionaries({"arguments": texts})}
            ),
            max_size=2,
        ),
    },
)
choices = st.lists(
    st.fixed_dictionaries({"index": st.integers(0, 3), "delta": deltas, "finish_reason": st.none() | st.just("stop")}),
    max_size=2,
)


@st.composite
def chunks(draw: st.DrawFn, created: st.SearchStrategy[int]) -> dict[str, Any]:
    """A chunk with its fields in any order, with counts or without."""
    fields = {
        "id": "theirs",
        "object": "chat.completion.chunk",
        "created": draw(created),
        "model": "their/model",
        "choices": draw(choices),
        "system_fingerprint": draw(st.none() | texts),
    }
    if draw(st.booleans()):
        fields["usage"] = draw(st.sampled_from([None, USAGE, {}]))
    if draw(st.booleans()):
        fields["timings"] = TIMINGS
    return {name: fields[name] for name in draw(st.permutations(sorted(fields)))}


def expected(first: dict[str, Any], chunk: dict[str, Any], *, usage_null: bool) -> dict[str, Any]:
    kept = {name: value for name, value in chunk.items() if name not in ("usage", "timings")}
    ours = {**kept, "id": ID, "model": MODEL, "created": first["created"]}
    return {**ours, "usage": None} if usage_null else ours


@given(chunks(st.just(1)), chunks(st.integers(1, 12)), writers, st.booleans())
def test_a_chunk_is_the_same_but_for_what_must_change(
    first: dict[str, Any],
    chunk: dict[str, Any],
    write: Write,
    usage_null: bool,  # noqa: FBT001 - drawn
) -> None:
    first = {name: value for name, value in first.items() if name != "choices"}
    assume(not any(call["id"] == "theirs" for call in calls(chunk)))
    result = spliced(write(first), write(chunk), usage_null=usage_null)
    assert json.loads(result) == expected(first, chunk, usage_null=usage_null)


def calls(chunk: dict[str, Any]) -> list[dict[str, Any]]:
    return [call for choice in chunk["choices"] for call in choice["delta"].get("tool_calls", [])]


@given(chunks(st.just(1)), writers)
def test_a_chunk_that_is_already_ours_is_not_touched(chunk: dict[str, Any], write: Write) -> None:
    ours = write({**{k: v for k, v in chunk.items() if k not in ("usage", "timings")}, "id": ID, "model": MODEL})
    assert spliced(ours, ours) == ours


# --------------------------------------------------------------------------------------------- named examples


def chunk_saying(text: str, **fields: Any) -> bytes:
    return msgspec.json.encode(
        {"choices": [{"index": 0, "delta": {"content": text}}], "id": "theirs", "created": 7, **fields}
    )


@pytest.mark.parametrize("text", ['"usage":{}', '{, "a": 1', '"id":"theirs"', 'x,"usage":null', '{"timings":{}}'])
def test_text_that_looks_like_a_field_survives(text: str) -> None:
    payload = chunk_saying(text, usage=USAGE, timings=TIMINGS)
    assert json.loads(spliced(payload, payload))["choices"][0]["delta"]["content"] == text


@pytest.mark.parametrize(
    ("payload", "left"),
    [
        (b'{"usage":null,"id":"a"}', b'{"id":"a"}'),
        (b'{"id":"a","usage":null}', b'{"id":"a"}'),
        (b'{"usage":{},"timings":{},"id":"a"}', b'{"id":"a"}'),
        (b'{"id":"a","usage":null,"timings":{},"x":1}', b'{"id":"a","x":1}'),
        (b'{ "usage": null , "id":"a"}', b'{ "id":"a"}'),
        (b'{"usage":null}', b"{}"),
        (b'{"id":"a"}', b'{"id":"a"}'),
    ],
)
def test_counts_are_cut_out_wherever_they_stand(payload: bytes, left: bytes) -> None:
    result = Splice(Chunk(id="a"), b"{}", "a", "", usage_null=False).apply(read_chunk(payload), payload)
    assert json.loads(result) == json.loads(left)


def test_a_caller_who_asked_for_usage_sees_null_until_the_end() -> None:
    payload = chunk_saying("x", usage=USAGE)
    assert json.loads(spliced(payload, payload, usage_null=True))["usage"] is None


def test_the_usage_event_carries_the_billed_numbers_and_no_choice() -> None:
    event = usage_event(ID, "chat.completion.chunk", 7, MODEL, TokenCount(2, 1, 4, 3))
    assert (event[:6], event[-2:]) == (b"data: ", b"\n\n")
    assert json.loads(event[6:]) == {
        "id": ID,
        "object": "chat.completion.chunk",
        "created": 7,
        "model": MODEL,
        "choices": [],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 7,
            "total_tokens": 10,
            "prompt_tokens_details": {"cached_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
    }


# ------------------------------------------------------------------------------------------------ what is read


def test_running_counts_come_from_timings_or_usage() -> None:
    chunk = read_chunk(chunk_saying("x", timings=TIMINGS))
    assert count_so_far(chunk, reasoning_seen=2) == TokenCount(input=2, cached=1, output=3, reasoning=2)
    assert count_so_far(read_chunk(chunk_saying("x", usage=USAGE)), 0) == TokenCount(input=2, cached=1, output=1)
    assert count_so_far(read_chunk(chunk_saying("x")), 0) is None


@given(st.integers(0, 9), st.integers(0, 9))
def test_reasoning_never_exceeds_what_was_predicted(predicted: int, seen: int) -> None:
    chunk = read_chunk(chunk_saying("x", timings={"predicted_n": predicted}))
    tokens = count_so_far(chunk, seen)
    assert tokens is not None
    assert tokens == TokenCount(output=max(predicted - seen, 0), reasoning=min(predicted, seen))


@pytest.mark.parametrize(
    ("choice", "text", "reasoning"),
    [
        ({"delta": {"content": "x"}}, True, False),
        ({"delta": {"content": ""}}, False, False),
        ({"delta": {"role": "assistant", "content": None}}, False, False),
        ({"delta": {"reasoning_content": "x"}}, False, True),
        ({"delta": {"reasoning": "x"}}, False, True),
        ({"delta": {"tool_calls": [{}]}}, True, False),
        ({"text": "x"}, True, False),
        ({"text": ""}, False, False),
        ({}, False, False),
    ],
)
def test_a_choice_tells_what_it_brings(choice: dict[str, Any], text: bool, reasoning: bool) -> None:  # noqa: FBT001 - a table's columns
    read = read_chunk(msgspec.json.encode({"choices": [choice]})).choices[0]
    assert (has_text(read), is_reasoning(read)) == (text, reasoning)
