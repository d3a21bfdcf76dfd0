"""A key that stands twice in one object is found, at any depth and however it is spelled; nothing else is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.errors import BadRequest
from parvis.wire.duplicates import refuse_duplicates

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def refused(body: str) -> BadRequest | None:
    try:
        refuse_duplicates(body.encode())
    except BadRequest as failure:
        return failure
    return None


def spelled(key: str) -> str:
    """The key with every character escaped."""
    units = key.encode("utf-16-be", "surrogatepass").hex()
    return '"' + "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)) + '"'


def written(value: Any, twice: str | None = None) -> str:
    """JSON of a value; the key `twice` stands there once more, escaped, in each object that has it."""
    if isinstance(value, dict):
        pairs = [f"{json.dumps(key)}: {written(inner, twice)}" for key, inner in value.items()]
        return "{" + ", ".join(pairs + ([f"{spelled(twice)} :0"] if twice is not None and twice in value else [])) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(inner, twice) for inner in value) + "]"
    return json.dumps(value)


def keys(value: Any) -> set[str]:
    """Of all objects in a value."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = set(value) if isinstance(value, dict) else set()
    return own.union(*(keys(child) for child in inner))


@given(json_values)
def test_keys_that_stand_once_pass(value: object) -> None:
    assert refused(written(value)) is None
    assert refused(json.dumps(value, ensure_ascii=False)) is None


@given(json_values.filter(keys), st.data())
def test_a_key_that_stands_twice_is_named(value: object, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(keys(value))))
    failure = refused(written(value, key))
    assert failure is not None
    assert (failure.code, failure.param) == ("duplicate_key", key[:200])


@pytest.mark.parametrize(
    "body",
    [
        '{"a":"\\"a\\":1,\\"a\\":2"}',
        '[{"a":1},{"a":2}]',
        '{"a":{"a":{"a":1}}}',
        '{"a":1,"A":2}',
        '{"a":[' + "9" * 9000 + "]}",
    ],
    ids=["in a text", "side by side", "one in another", "capitals", "a number of many digits"],
)
def test_what_only_looks_like_it_passes(body: str) -> None:
    assert refused(body) is None


def test_what_is_too_deep_is_refused_as_such() -> None:
    failure = refused('{"a":' * 100_000 + "1" + "}" * 100_000)
    assert failure is not None
    assert failure.code == "too_deep"


def test_a_long_name_is_not_said_again_in_full() -> None:
    name = "x" * 5000
    failure = refused(f'{{"{name}":1,"{name}":2}}')
    assert failure is not None
    assert len(str(failure)) < 300
