"""Events of a model that reasons: what is told and what is counted is the same however its text came."""

import json
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from parvis.adapters.engines.thinking import Thinking, whole_apart
from parvis.adapters.engines.thoughts import CLOSES, OPENS, split
from parvis.wire.chunk_shapes import Chunk, read_chunk

TEXTS = st.lists(st.sampled_from([OPENS, CLOSES, "<", "</", ">", " ", '"', "é", "yes"]), max_size=9).map("".join)
CUTS = st.lists(st.integers(0, 40), max_size=8)
Json = dict[str, Any]


def stream(text: str, cuts: list[int], *, spaced: bool) -> list[bytes]:
    """The events of a stream that says `text`, each piece with the log-probability of its one token."""
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    token = {"content": [{"token": "t"}]}
    said: list[Json] = [{"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None}]
    said += [{"index": 0, "delta": {"content": text[start:end]}, "logprobs": token} for start, end in pairwise(places)]
    said.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    separators = (", ", ": ") if spaced else (",", ":")
    top: Json = {"id": "x", "created": 1, "model": "m", "usage": None}
    return [json.dumps({**top, "choices": [choice]}, separators=separators).encode() for choice in said]


def told_by(thinking: Thinking, payloads: list[bytes]) -> tuple[list[Chunk], list[Json]]:
    """What is counted, and the choices that the caller reads."""
    counted, told = [], []
    for payload in payloads:
        chunk, events = thinking.apart(read_chunk(payload), payload)
        counted.append(chunk)
        for one, written in events:
            again = read_chunk(written)
            assert [choice.delta for choice in one.choices] == [choice.delta for choice in again.choices]
            assert [choice.finish_reason for choice in one.choices] == [
                choice.finish_reason for choice in again.choices
            ]
            told += json.loads(written)["choices"]
    return counted, told


@given(text=TEXTS, cuts=CUTS, begun=st.booleans(), spaced=st.booleans())
def test_every_stream_of_a_text_tells_the_same(*, text: str, cuts: list[int], begun: bool, spaced: bool) -> None:
    counted, told = told_by(Thinking(begun=begun), stream(text, cuts, spaced=spaced))
    parts = split(text, begun=begun)
    deltas = [choice["delta"] for choice in told]
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas) == parts.reasoning
    assert "".join(delta.get("content") or "" for delta in deltas) == parts.content
    said = [choice.delta for chunk in counted for choice in chunk.choices if choice.delta is not None]
    assert "".join(delta.reasoning_content or "" for delta in said) == parts.thought
    assert "".join(delta.content or "" for delta in said) == parts.visible


@given(text=TEXTS, cuts=CUTS, begun=st.booleans())
def test_nothing_beside_the_text_is_lost(*, text: str, cuts: list[int], begun: bool) -> None:
    payloads = stream(text, cuts, spaced=False)
    _, told = told_by(Thinking(begun=begun), payloads)
    assert told[0]["delta"]["role"] == "assistant"
    assert [choice.get("finish_reason") for choice in told if choice.get("finish_reason")] == ["stop"]
    probabilities = [one for choice in told for one in (choice.get("logprobs") or {"content": []})["content"]]
    assert len(probabilities) == len(payloads) - 2


@given(text=TEXTS, begun=st.booleans())
def test_a_whole_answer_tells_what_its_stream_tells(*, text: str, begun: bool) -> None:
    message = {"role": "assistant", "content": text, "tool_calls": None}
    whole = whole_apart(msgspec.json.encode([{"index": 0, "message": message}]), begun=begun)
    [choice] = json.loads(whole.choices)
    parts = split(text, begun=begun)
    assert choice["message"].get("reasoning_content", "") == parts.reasoning
    assert choice["message"]["content"] == parts.content
    assert (whole.thoughts, whole.visible) == ([parts.thought.encode()], [parts.visible.encode()])


def test_the_name_that_newer_engines_use_becomes_the_one() -> None:
    payload = b'{"id":"x","created":1,"model":"m","choices":[{"index":0,"delta":{"reasoning":"so"}}]}'
    _, [choice] = told_by(Thinking(begun=False), [payload])
    assert choice["delta"] == {"reasoning_content": "so"}
    called = b'[{"index":0,"message":{"role":"assistant","content":null,"reasoning":"so","tool_calls":[{"id":"1"}]}}]'
    [whole] = json.loads(whole_apart(called, begun=True).choices)
    assert whole["message"]["reasoning_content"] == "so"
    assert whole["message"]["content"] is None
    assert whole["message"]["tool_calls"] == [{"id": "1"}]
