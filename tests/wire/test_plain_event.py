"""A plain event is known by its bytes, and gives what reading it in full gives: never more, never something else."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.tokens import TokenCount
from parvis.wire.chunk_shapes import count_so_far, read_chunk
from parvis.wire.chunks import Splice
from parvis.wire.plain_event import PlainEvent, learn

Json = dict[str, Any]
Write = Callable[[Any], bytes]
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "prompt_tokens_details": {"cached_tokens": 1}}
TIMINGS = {"cache_n": 1, "prompt_n": 2, "predicted_n": 5, "prompt_ms": 1.5, "predicted_per_second": 1e-9}


def spaced(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


class Stream:
    """One stream of an engine, and what its client gets for each event when all of it is read."""

    def __init__(self, first: bytes, *, usage_null: bool = False) -> None:
        self._splice = Splice(read_chunk(first), first, "chatcmpl-ours", "ours", usage_null=usage_null)

    def read(self, payload: bytes) -> bytes:
        return b"data: %b\n\n" % self._splice.apply(read_chunk(payload), payload)

    def learn(self, payload: bytes) -> PlainEvent | None:
        return learn(read_chunk(payload), framed(payload), self.read(payload))


def framed(payload: bytes) -> bytes:
    return b"data: %b\n\n" % payload


def saying(text: str, **fields: Any) -> Json:
    choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}
    return {"id": "theirs", "created": 7, "model": "their/model", "choices": [choice], **fields}


texts = st.text(max_size=8) | st.sampled_from(
    ['"', "\\", "\n", "é", "🙂", '"content":', '"usage":{}', "}\n\n", "plain", ""]
)
deltas = st.one_of(
    texts.map(lambda text: {"content": text}),
    texts.map(lambda text: {"role": "assistant", "content": text}),
    texts.map(lambda text: {"reasoning_content": text}),
    texts.map(lambda text: {"content": text, "reasoning_content": text}),
    texts.map(lambda text: {"content": text, "note": {"content": text}}),
    texts.map(lambda text: {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}),
)
BOTH = {"usage": USAGE, "timings": TIMINGS}
COUNTS: list[Json] = [{}, {"usage": None}, {"usage": USAGE}, {"timings": TIMINGS}, BOTH, {"usage": {}}]
OTHERS: list[Json] = [{}, {}, {"system_fingerprint": "x]"}, {"note": {"usage": None}}]
counts, others = st.sampled_from(COUNTS), st.sampled_from(OTHERS)


@st.composite
def chunks(draw: st.DrawFn) -> Json:
    choice = {"index": draw(st.sampled_from([0, 0, 0, 1])), "delta": draw(deltas)}
    if draw(st.booleans()):
        choice |= {"logprobs": draw(st.sampled_from([None, None, {"content": []}]))}
        choice |= {"finish_reason": draw(st.sampled_from([None, None, "stop"]))}
    fields = {"choices": [choice], "id": "theirs", "created": draw(st.sampled_from([7, 7, 8])), "model": "their/model"}
    more = draw(others)
    whole = {**fields, **more, **draw(counts)}
    return {name: whole[name] for name in draw(st.permutations(list(whole)))} if draw(st.booleans()) else whole


@given(st.lists(chunks(), min_size=2, max_size=5), st.sampled_from([msgspec.json.encode, spaced]), st.booleans())
def test_what_is_recognised_is_what_would_have_been_read(events: list[Json], write: Write, usage_null: bool) -> None:  # noqa: FBT001 - drawn
    stream = Stream(write(saying("first")), usage_null=usage_null)
    plain: PlainEvent | None = None
    for event in events:
        payload = write(event)
        if plain is not None and (given_out := plain.apply(framed(payload))):
            assert given_out == stream.read(payload)
            chunk = read_chunk(payload)
            assert chunk.choices[0].delta is not None
            assert chunk.choices[0].delta.content
            assert not chunk.choices[0].finish_reason
            counted = plain.running and count_so_far(plain.running, 0)
            assert counted == count_so_far(chunk, 0)
        plain = stream.learn(payload) or plain


@pytest.mark.parametrize("fields", [{}, {"usage": USAGE}, {"timings": TIMINGS}], ids=["bare", "usage", "timings"])
@pytest.mark.parametrize("write", [msgspec.json.encode, spaced])
def test_the_usual_events_are_recognised(write: Write, fields: Json) -> None:
    stream = Stream(write(saying("first", **fields)))
    plain = stream.learn(write(saying("Hello", **fields)))
    assert plain is not None
    payload = write(saying(" world, it's", **fields))
    assert plain.apply(framed(payload)) == stream.read(payload)


def test_its_counts_are_at_hand() -> None:
    stream = Stream(msgspec.json.encode(saying("first")))
    plain = stream.learn(msgspec.json.encode(saying("Hello")))
    assert plain is not None
    assert plain.apply(framed(msgspec.json.encode(saying("x", usage=USAGE))))
    assert plain.running is not None
    assert count_so_far(plain.running, 0) == TokenCount(input=2, cached=1, output=2)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a":1}',
        msgspec.json.encode(saying('say "no"')),
        msgspec.json.encode(saying("d\u00e9j\u00e0")),
        msgspec.json.encode(saying("x"))[:-1] + b',"more":1}',
        msgspec.json.encode(saying("x"))[:-1] + b',"usage":{"prompt_tokens":1},"more":1}',
        msgspec.json.encode(saying("x"))[:-1] + b',"usage":{"prompt_tokens":}',
        msgspec.json.encode(saying("x")).replace(b'"x"', b'"\x01"'),
        msgspec.json.encode(saying("x")) + b"}",
    ],
)
def test_anything_else_is_left_to_who_reads_it_in_full(payload: bytes) -> None:
    plain = Stream(msgspec.json.encode(saying("first"))).learn(msgspec.json.encode(saying("Hello")))
    assert plain is not None
    assert plain.apply(framed(payload)) == b""
    assert plain.apply(framed(msgspec.json.encode(saying("x")))[:-1]) == b""
    assert plain.apply(framed(msgspec.json.encode(saying("x"))) * 2) == b""
