"""The quick proof that no key stands twice: it is never wrong, and it holds for what clients really send."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from parvis.core.errors import BadRequest
from parvis.wire.chat import read_chat
from parvis.wire.duplicates import refuse_duplicates
from parvis.wire.said_once import LONG_CHARS, said_once

Pairs = list[tuple[str, Any]]
"""An object in which a key may stand twice."""
IMAGE = "data:image/png;base64,AAAA"
texts = st.text(alphabet='x:"\\{},u03aA é☃\n', max_size=12)
long_texts = st.tuples(texts.filter(bool), st.integers(LONG_CHARS - 20, LONG_CHARS + 20)).map(
    lambda drawn: (drawn[0] * drawn[1])[: drawn[1]]
)


def escaped(text: str) -> str:
    """Every character of it as an escape."""
    units = text.encode("utf-16-be", "surrogatepass").hex()
    return '"' + "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)) + '"'


def plain(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


spellings: st.SearchStrategy[Callable[[str], str]] = st.sampled_from([plain, plain, plain, json.dumps, escaped])
gaps = st.sampled_from(["", "", " ", "\n\t"])


@st.composite
def written(draw: st.DrawFn, value: Any) -> str:
    """JSON of a value, in one of the ways in which it can be spelled."""
    if isinstance(value, tuple):
        gap = draw(gaps)
        pairs = [f"{draw(spellings)(key)}{gap}:{gap}{draw(written(inner))}" for key, inner in value]
        return "{" + f"{gap},".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(draw(written(inner)) for inner in value) + "]"
    return draw(spellings)(value) if isinstance(value, str) else json.dumps(value)


@st.composite
def objects(draw: st.DrawFn, needed: Pairs, others: Pairs) -> tuple[tuple[str, Any], ...]:
    """Some fields in some order, and perhaps some of them once more."""
    more = st.lists(st.sampled_from(others), unique_by=lambda pair: pair[0], max_size=3) if others else st.just([])
    pairs = needed + draw(more)
    again = draw(st.lists(st.sampled_from(pairs), max_size=1)) if pairs else []
    return tuple(draw(st.permutations(pairs + again)))


@st.composite
def messages(draw: st.DrawFn) -> tuple[tuple[str, Any], ...]:
    parts = (
        [
            draw(objects([("type", "text"), ("text", draw(texts | long_texts))], [("text", "")])),
            draw(
                objects(
                    [("type", "image_url"), ("image_url", draw(objects([("url", IMAGE)], [("detail", "low")])))], []
                )
            ),
            draw(objects([("type", "refusal"), ("refusal", draw(texts))], [])),
        ]
        if draw(st.booleans())
        else None
    )
    call = (("id", "c:1"), ("type", "function"), ("function", (("name", "f"), ("arguments", '{"a":1}'))))
    others = [
        ("name", draw(texts)),
        ("annotations", [(("a", ":"), ("a", 1))]),
        ("tool_calls", [call]),
        ("refusal", None),
        ("content", "another: one"),
    ]
    return draw(objects([("role", "assistant"), ("content", parts or draw(texts | long_texts))], others))


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A chat, spelled in any way, in which any key may stand twice."""
    others = [
        ("temperature", 0.5),
        ("stream", True),
        ("stream_options", draw(objects([], [("include_usage", True), ("include_obfuscation", None)])) or ()),
        ("stop", draw(texts.filter(bool))),
        ("user", "u:1"),
        ("metadata", (("a:b", "c:d"),)),
        ("top_k", None),
        ("model", "m:2"),
    ]
    asked = [draw(messages()) for _ in range(draw(st.integers(1, 3)))]
    return draw(written(draw(objects([("model", "m:1"), ("messages", asked)], others)))).encode()


@given(bodies())
@settings(max_examples=100, deadline=None)
@example(b'{"model":"m","messages":[{"role":"user","content":"\\u003a"}],"model":"m"}')
@example(b'{"model":"m","messages":[{"role":"user","content":":","content":"\\u003A"}]}')
def test_nothing_is_proven_of_a_body_with_a_key_that_stands_twice(body: bytes) -> None:
    try:
        chat = read_chat(body)
    except BadRequest:
        return
    if said_once(chat, body):
        refuse_duplicates(body)


@given(texts | long_texts, texts | long_texts, st.booleans())
def test_what_clients_send_is_proven(system: str, user: str, streamed: bool) -> None:  # noqa: FBT001 - drawn
    asked = {
        "model": "llama3:8b",
        "messages": [
            {"role": "system", "content": system},
            {"role": "user", "content": [{"type": "text", "text": user}, {"type": "text", "text": system}]},
        ],
        "temperature": 0.7,
        **({"stream": True, "stream_options": {"include_usage": True}} if streamed else {}),
    }
    for body in (
        json.dumps(asked, ensure_ascii=False).encode(),
        json.dumps(asked, ensure_ascii=False, separators=(",", ":")).encode(),
    ):
        assert said_once(read_chat(body), body)


@pytest.mark.parametrize("escape", ["\\u003a", "\\u003A"])
@pytest.mark.parametrize("text", ["", "x" * LONG_CHARS + "y"], ids=["short", "long"])
def test_an_escaped_colon_does_not_hide_a_key(escape: str, text: str) -> None:
    spelled = f'{{"role":"user","content":"{text}"}},{{"role":"user","content":"{escape}"}}'
    body = f'{{"model":"m","messages":[{spelled}],"model":"m"}}'.encode()
    assert not said_once(read_chat(body), body)


def test_a_long_text_that_stands_elsewhere_hides_no_key() -> None:
    text = "a:" * LONG_CHARS
    body = (
        f'{{"model":"m","user":"{text}","messages":[{{"role":"user","content":"{escaped(text)[1:-1]}"}}],"model":"m"}}'
    ).encode()
    assert not said_once(read_chat(body), body)


def test_an_escaped_colon_is_not_taken_for_a_text_that_looks_like_it() -> None:
    same = "x" * LONG_CHARS + "\\u003a" * 2
    messages = f'{{"role":"user","content":"{same}"}},{{"role":"user","content":{plain(same)}}}'
    body = f'{{"model":"m","model":"m","model":"m","messages":[{messages}]}}'.encode()
    assert not said_once(read_chat(body), body)
