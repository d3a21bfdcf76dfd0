"""Grammars for OpenVINO: what they let through satisfies the schema, and what satisfies it is let through.

An interpreter of the dialect, here, says what a grammar means. That the engine reads it alike is a test of the engine.
"""

import json
import random
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from parvis.adapters.openvino.errors import Refused
from parvis.adapters.openvino.grammar import BYTES_MAX, grammar_of
from parvis.testing.engine_servers import KEY, OpenVinoServer, openvino_server

Json = dict[str, Any]
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|\{[0-9,]+\}|[a-z][a-z0-9]*|[()|*?]')
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
SAMPLE_CHARS = 'aé"\\ \n0:{9Z語😀'


class Ebnf:
    """A grammar: what it makes by chance, and what it matches."""

    def __init__(self, text: str) -> None:
        rules = [line.partition(" ::= ") for line in text.splitlines() if line]
        self.rules = {name: self._parsed(body) for name, _, body in rules}
        self.ends = cache(self._ends)

    def make(self, dice: random.Random) -> str:
        return self._made(("rule", "root"), dice)

    def matches(self, text: str) -> bool:
        return len(text) in self.ends(("rule", "root"), text, 0)

    def _parsed(self, body: str) -> Any:
        tokens = _TOKEN.findall(body)
        assert "".join(tokens).replace(" ", "") == body.replace(" ", "")
        tree, rest = self._alternatives(tokens)
        assert not rest
        return tree

    def _alternatives(self, tokens: list[str]) -> tuple[Any, list[str]]:
        found: list[Any] = []
        sequence: list[Any] = []
        while tokens and tokens[0] != ")":
            token, tokens = tokens[0], tokens[1:]
            if token == "|":
                found.append(("all", tuple(sequence)))
                sequence = []
            elif token == "(":
                inner, tokens = self._alternatives(tokens)
                sequence.append(inner)
                tokens = tokens[1:]
            elif token in {"*", "?"} or token[0] == "{":
                sequence.append(("times", sequence.pop(), *_times(token)))
            else:
                sequence.append(_leaf(token))
        return ("any", (*found, ("all", tuple(sequence)))), tokens

    def _made(self, tree: Any, dice: random.Random) -> str:
        match tree:
            case ("rule", name):
                return self._made(self.rules[name], dice)
            case ("text", text):
                return str(text)
            case ("class", pattern):
                return dice.choice([char for char in map(chr, range(1, 128)) if re.fullmatch(pattern, char)])
            case ("any", choices):
                return self._made(dice.choice(choices), dice)
            case ("all", parts):
                return "".join(self._made(part, dice) for part in parts)
        _, inner, least, most = tree
        return "".join(self._made(inner, dice) for _ in range(dice.randint(least, min(most, least + 2))))

    def _ends(self, tree: Any, text: str, start: int) -> frozenset[int]:
        match tree:
            case ("rule", name):
                return self.ends(self.rules[name], text, start)
            case ("text", literal):
                return frozenset({start + len(literal)} if text.startswith(literal, start) else ())
            case ("class", pattern):
                return frozenset({start + 1} if re.fullmatch(pattern, text[start : start + 1]) else ())
            case ("any", choices):
                return frozenset[int]().union(*(self.ends(choice, text, start) for choice in choices))
            case ("all", parts):
                at = frozenset({start})
                for part in parts:
                    at = frozenset[int]().union(*(self.ends(part, text, here) for here in at))
                return at
        return frozenset(self._repeated(tree, text, start))

    def _repeated(self, tree: Any, text: str, start: int) -> Iterator[int]:
        _, inner, least, most = tree
        at, number = {start}, 0
        while at and number <= most:
            if number >= least:
                yield from at
            at = {end for here in at for end in self.ends(inner, text, here) if end > here or number < least}
            number += 1


def _times(token: str) -> tuple[int, int]:
    if token in {"*", "?"}:
        return 0, 1 if token == "?" else 9_999
    least, comma, most = token[1:-1].partition(",")
    return int(least), int(most) if most else 9_999 if comma else int(least)


def _leaf(token: str) -> Any:
    if token[0] == "[":
        return "class", token
    return ("text", _ESCAPE.sub(r"\1", token[1:-1])) if token[0] == '"' else ("rule", token)


def satisfies(value: Any, schema: Json) -> bool:
    """The keywords of the subset."""
    if "anyOf" in schema:
        return any(satisfies(value, choice) for choice in schema["anyOf"])
    if "enum" in schema:
        return any(_compact(value) == _compact(one) for one in schema["enum"])
    said = schema.get("type", list(_NAMES.values()))
    kinds = {said} if isinstance(said, str) else set(said)
    name = _NAMES[type(value)]
    return (name in kinds or (name == "integer" and "number" in kinds)) and _holds(value, schema)


_NAMES = {
    bool: "boolean", type(None): "null", str: "string", int: "integer", float: "number", list: "array", dict: "object"
}  # fmt: skip


def _holds(value: Any, schema: Json) -> bool:
    match value:
        case bool() | None:
            return True
        case str():
            return _between(len(value), schema, "minLength", "maxLength")
        case int() | float():
            return _between(value, schema, "minimum", "maximum")
        case list():
            inner = all(satisfies(one, schema.get("items", {})) for one in value)
            return inner and _between(len(value), schema, "minItems", "maxItems")
    named, more = schema.get("properties", {}), schema.get("additionalProperties", True)
    others = value.keys() - named.keys()
    known = all(satisfies(value[name], named[name]) for name in value.keys() & named.keys())
    free = all(more is True or (more is not False and satisfies(value[name], more)) for name in others)
    return known and free and set(schema.get("required", ())) <= value.keys()


def _between(number: float, schema: Json, least: str, most: str) -> bool:
    return bool(schema.get(least, number) <= number <= schema.get(most, number))


# Schemas, with values that satisfy them

_SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-99, 9999), st.text(SAMPLE_CHARS, max_size=5))
Pair = tuple[Json, Any]


@st.composite
def _ranges(draw: st.DrawFn, kind: str) -> Pair:
    low, value, high = sorted(draw(st.tuples(*[st.integers(-(10**6), 10**6) | st.integers(-20, 120)] * 3)))
    schema = {"type": kind, "minimum": low, "maximum": high}
    if kind == "number" and value < high and draw(st.booleans()):
        return schema, value + 0.5
    left_out = draw(st.sampled_from(["", "minimum", "maximum"]))
    return {key: one for key, one in schema.items() if key != left_out}, value


@st.composite
def _texts(draw: st.DrawFn) -> Pair:
    value = draw(st.text("ab é語😀", max_size=8))
    bounds = {"minLength": draw(st.integers(0, len(value))), "maxLength": draw(st.integers(len(value), 12))}
    return {"type": "string", **{key: bounds[key] for key in draw(st.sets(st.sampled_from(sorted(bounds))))}}, value


@st.composite
def _enums(draw: st.DrawFn) -> Pair:
    values = draw(st.lists(_SCALARS, min_size=1, max_size=5))
    return {"enum": values}, draw(st.sampled_from(values))


@st.composite
def _objects(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    members = draw(st.dictionaries(st.text(SAMPLE_CHARS, max_size=3), inner, max_size=3))
    required = draw(st.sets(st.sampled_from(sorted(members)))) if members else set()
    schema = {name: schema for name, (schema, _) in members.items()}
    kept = {name: value for name, (_, value) in members.items() if name in required or draw(st.booleans())}
    more = {} if draw(st.booleans()) else {"additionalProperties": False}
    return {"type": "object", "properties": schema, "required": sorted(required), **more}, kept


@st.composite
def _lists(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    items, value = draw(inner)
    count = draw(st.integers(0, 3))
    least, most = draw(st.integers(0, count)), draw(st.integers(count, 5) | st.none())
    return {"type": "array", "items": items, "minItems": least, **({} if most is None else {"maxItems": most})}, [
        value
    ] * count


@st.composite
def _maps(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    schema, value = draw(inner)
    return {"type": "object", "additionalProperties": schema}, dict.fromkeys(
        draw(st.sets(st.text("ab", max_size=2))), value
    )


@st.composite
def _choices(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    schema, value = draw(inner)
    others = draw(st.lists(st.sampled_from([{"type": "null"}, {"enum": ["x", "y"]}, {"type": "boolean"}]), max_size=2))
    return {"anyOf": [*others, schema]}, value


_PLAIN = [
    ({"type": kind}, value) for kind, value in (("string", 'a"\n'), ("number", -1.25e7), ("integer", 5), ("null", None))
]
_LEAVES = st.one_of(
    st.sampled_from([*_PLAIN, ({}, {"a": [1, {}]}), ({"type": ["integer", "number", "null"]}, 2)]),
    _ranges("integer"),
    _ranges("number"),
    _texts(),
    _enums(),
)
_PAIRS = st.recursive(
    _LEAVES, lambda inner: st.one_of(*(of(inner) for of in (_objects, _lists, _maps, _choices))), max_leaves=6
)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@settings(max_examples=150, deadline=None)
@given(pair=_PAIRS, seed=st.integers(0, 1 << 32))
def test_what_a_grammar_lets_through_satisfies_the_schema(pair: Pair, seed: int) -> None:
    schema, value = pair
    try:
        grammar = Ebnf(grammar_of(schema))
    except Refused:
        reject()  # too many counted characters: the values are small, nothing else of these schemas is refused
    assert grammar.matches(_compact(value))
    dice = random.Random(seed)
    for _ in range(5):
        made = grammar.make(dice)
        assert satisfies(json.loads(made), schema), (made, schema)


@given(low=st.integers(-2000, 2000), size=st.integers(0, 2000), number=st.integers(-5000, 5000))
@settings(deadline=None)
def test_a_range_is_exact(low: int, size: int, number: int) -> None:
    bounds = {"minimum": low, "maximum": low + size}
    for kind in ("integer", "number"):
        assert Ebnf(grammar_of({"type": kind, **bounds})).matches(str(number)) == (low <= number <= low + size)
    fraction = Ebnf(grammar_of({"type": "number", **bounds}))
    assert fraction.matches(str(number + 0.5)) == (low <= number + 0.5 <= low + size)


_KEYWORDS = [
    "type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "$ref", "$defs",
    "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "pattern", "oneOf", "not", "title",
]  # fmt: skip
_ODD = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=4),
        st.sampled_from(["string", "#/$defs/a"]),
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYWORDS) | st.just("a"), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(schema=st.dictionaries(st.sampled_from(_KEYWORDS), _ODD, max_size=4))
def test_odd_schemas_are_taken_or_refused(schema: Json) -> None:
    try:
        grammar = Ebnf(grammar_of(schema))
    except Refused:
        return
    json.loads(grammar.make(random.Random(0)))


def _nested(levels: int) -> Json:
    return {"type": "array", "items": _nested(levels - 1)} if levels else {}


_LOOP = {"type": "object", "properties": {"next": {"$ref": "#/$defs/a"}}, "required": ["next"]}


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"oneOf": []}, "oneOf"),
        ({"type": "string", "pattern": "a+"}, "pattern"),
        ({"type": "text"}, "type"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "minimum"),
        ({"type": "number", "minimum": 0.5}, "bounds"),
        ({"type": "string", "enum": [1]}, "type"),
        ({"type": "string", "maxLength": 101}, "maxLength"),
        ({"type": "array", "minItems": 2, "maxItems": 1}, "minItems"),
        ({"type": "array", "maxItems": 1_001}, "maxItems"),
        ({"type": "object", "required": ["a"]}, "required"),
        ({"anyOf": [{"const": 1}, {"type": "integer"}]}, "anyOf"),
        ({"enum": ["a"], "minLength": 3}, "minLength"),
        ({"$ref": "#/$defs/b"}, "$ref"),
        ({"$ref": "#/$defs/a", "$defs": {"a": _LOOP}}, "$ref"),
        ({"$ref": "https://example.com/a"}, "$ref"),
        (_nested(40), "deeper"),
        ({"enum": ["x" * BYTES_MAX]}, "large"),
        ({"const": "\ud800"}, "JSON"),
    ],
)
def test_what_cannot_be_held_is_refused_by_name(schema: Json, named: str) -> None:
    with pytest.raises(Refused, match=re.escape(named)) as refused:
        grammar_of(schema)
    assert str(refused.value).endswith(".")
    assert refused.value.param == "response_format"


def test_a_grammar_grows_no_faster_than_its_schema() -> None:
    leaf = {"type": "integer", "minimum": -123456789, "maximum": 987654321}
    for level in range(6):
        leaf = (
            {"anyOf": [{"type": "object", "properties": {f"a{level}": {"$ref": "#/$defs/b"}}}] * 3} if level else leaf
        )
    grammar = grammar_of({"type": "array", "items": leaf, "$defs": {"b": {"type": "string", "maxLength": 90}}})
    assert len(grammar) < 2_000


# The engine itself


_ENGINE: dict[str, Json] = {
    "numbers": {"type": "array", "items": {"type": "integer", "minimum": -37, "maximum": 123456}, "minItems": 3},
    "decimals": {"type": "array", "items": {"type": "number", "minimum": -1, "maximum": 12}, "maxItems": 6},
    "listed": {"type": "array", "items": {"enum": [1, 12, 123, 0.5, "a", 'b"', None]}, "minItems": 4, "maxItems": 9},
    "person": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 9},
            "age": {"type": "integer", "minimum": 0, "maximum": 120},
            "tags": {"type": "array", "items": {"type": ["string", "null"]}, "maxItems": 2},
            "of": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/of"}]},
        },
        "required": ["name", "of"],
        "$defs": {"of": {"type": "object", "additionalProperties": {"type": "boolean"}}},
    },
    "anything": {"type": "object"},
}
SEEDS = 3
TOKENS = 40


@pytest.fixture(scope="module")
def worker(openvino_cache: Path) -> Iterator[OpenVinoServer]:
    with openvino_server(openvino_cache, len(_ENGINE) * SEEDS) as server:
        yield server


@pytest.mark.parametrize("name", _ENGINE)
def test_the_engine_reads_grammars_alike(worker: OpenVinoServer, name: str) -> None:
    """What it answers is let through by our reading of the grammar, or is the beginning of an answer."""
    schema = _ENGINE[name]
    grammar = Ebnf(grammar_of(schema))
    body = {
        "messages": [{"role": "user", "content": "Give me JSON."}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}},
        "max_tokens": TOKENS,
        "n": SEEDS,
        "seed": 5,
    }
    headers = {"Authorization": f"Bearer {KEY}"}
    answer = httpx.post(f"{worker.address}/v1/chat/completions", json=body, headers=headers, timeout=60.0)
    choices = answer.raise_for_status().json()["choices"]
    assert len(choices) == SEEDS
    for choice in choices:
        text = choice["message"]["content"]
        if choice["finish_reason"] == "stop":
            assert grammar.matches(text), text
            assert satisfies(json.loads(text), schema)
        elif schema.get("type") == "array" and "," in text:
            assert satisfies(json.loads(text[: text.rindex(",")] + "]"), {**schema, "minItems": 0}), text
