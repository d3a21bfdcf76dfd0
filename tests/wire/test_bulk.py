"""Large bodies are bounded by what they hold, before any of it is read; their texts may be as long as they like."""

import json
from collections.abc import Callable

import pytest

from parvis.core.errors import BadRequest
from parvis.wire.bulk import COUNTED_BYTES, FREE_BYTES_MAX, FREE_PARTS_MAX, LARGE_BYTES, TEXTS_MAX, bound_large
from parvis.wire.chat import read_chat

FILLER = "x" * LARGE_BYTES


def refused(body: bytes) -> tuple[str, str | None] | None:
    try:
        bound_large(body)
    except BadRequest as failure:
        return failure.code, failure.param
    return None


def of_texts(count: int, text: str = "") -> bytes:
    """An object with so many names and texts in all."""
    return json.dumps({"a": [text] * (count - 1)}).encode()


def test_names_and_texts_are_counted() -> None:
    assert len(of_texts(TEXTS_MAX, "texts")) > COUNTED_BYTES
    assert refused(of_texts(TEXTS_MAX, "texts")) is None
    assert refused(of_texts(TEXTS_MAX + 1, "texts")) == ("too_many_keys", None)


def test_of_a_body_that_cannot_hold_too_many_nothing_is_counted() -> None:
    assert len(of_texts(TEXTS_MAX + 1)) < COUNTED_BYTES
    assert refused(of_texts(TEXTS_MAX + 1)) is None


@pytest.mark.parametrize("text", ['"""', 'say "no"', '\\"say', '"' * 50])
def test_quotes_within_texts_are_not_counted(text: str) -> None:
    assert refused(of_texts(TEXTS_MAX, text)) is None


@pytest.mark.parametrize("text", ["\\", '\\"\\', "\\\\"])
def test_texts_that_end_with_a_backslash_hide_at_most_every_other(text: str) -> None:
    assert refused(of_texts(2 * TEXTS_MAX + 2, text)) == ("too_many_keys", None)


@pytest.mark.parametrize("name", FREE_BYTES_MAX)
def test_fields_that_may_hold_anything_are_bounded(name: str) -> None:
    most = FREE_BYTES_MAX[name]
    code = "schema_too_large" if name in ("tools", "response_format") else "invalid_value"
    for value, expected in (
        ("x" * (most - 2), None),
        ("x" * (most - 1), (code, name)),
        ([[]] * (FREE_PARTS_MAX + 1), (code, name)),
    ):
        assert refused(json.dumps({"user": FILLER, name: value}, separators=(",", ":")).encode()) == expected


def test_a_table_in_a_text_is_a_text() -> None:
    assert (
        refused(json.dumps({"messages": [{"role": "user", "content": '1,2,[3],{"a":4}\n' * 50_000}]}).encode()) is None
    )


@pytest.mark.parametrize("size", [LARGE_BYTES, LARGE_BYTES + 1])
def test_only_large_bodies_are_looked_at(size: int) -> None:
    head, tail = b'{"model":"m","messages":[{"role":"user","content":"x"}],"metadata":', b"}"
    body = head + b" " * (size - len(head) - len(tail) - 2) + b"[]" + tail
    with pytest.raises(BadRequest) as failure:
        read_chat(body)
    assert failure.value.param == "metadata"


def test_what_is_no_object_is_told_as_such() -> None:
    with pytest.raises(BadRequest) as failure:
        read_chat(b" " * LARGE_BYTES + b"[]")
    assert str(failure.value).startswith("The body must be a JSON object.")


@pytest.mark.parametrize("name", FREE_BYTES_MAX)
@pytest.mark.parametrize("spelled", [str, lambda name: "".join(f"\\u{ord(char):04x}" for char in name)])
@pytest.mark.parametrize("text", ['say "no"', "plain", "\\u", '"\\'])
def test_a_bounded_field_is_found_however_it_is_spelled(name: str, spelled: Callable[[str], str], text: str) -> None:
    for before, after in ((FILLER, text), (text, FILLER)):
        parts = ",".join(["[]"] * (FREE_PARTS_MAX + 1))
        body = f'{{"a":{json.dumps(before)},"{spelled(name)}":[{parts}],"b":{json.dumps(after)}}}'
        assert refused(body.encode()) is not None


def test_a_name_within_a_text_is_a_text() -> None:
    for text in ('"tools"', "tools", '\\"tools\\":[[]]'):
        assert refused(json.dumps({"a": FILLER, "b": [text] * 3}).encode()) is None
