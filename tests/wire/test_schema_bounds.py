"""JSON schemas are bounded before an engine sees them, at a cost that grows with their size and no faster."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.errors import BadRequest
from parvis.wire.schemas import BYTES_MAX, DEPTH_MAX, PARTS_MAX, bound_schema

Schema = dict[str, Any]


def code(schema: Schema) -> str | None:
    """Why it was refused, if it was."""
    try:
        bound_schema(schema, "tools[0]")
    except BadRequest as refused:
        return refused.code
    return None


def nested(levels: int) -> Schema:
    schema: Schema = {}
    for _ in range(levels - 1):
        schema = {"properties": schema}
    return schema


def graph(edges: dict[str, list[str]], place: str = "$defs") -> Schema:
    """Definitions that refer to one another."""
    return {
        place: {name: {"anyOf": [{"$ref": f"#/{place}/{other}"} for other in others]} for name, others in edges.items()}
    }


def chain(length: int) -> Schema:
    """Each definition is the next one."""
    return {"$defs": {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(length)} | {f"d{length}": {}}}


def test_a_refusal_names_its_place_and_stays_short() -> None:
    for schema in (nested(99), {"a": [0] * PARTS_MAX}, {"$ref": "x" * 60_000}, graph({"a": ["a"]})):
        with pytest.raises(BadRequest) as refused:
            bound_schema(schema, "tools[0]")
        assert refused.value.param == "tools[0]"
        assert len(str(refused.value)) < 400


def test_no_schema_is_fine() -> None:
    bound_schema(None, "x")


@pytest.mark.parametrize(
    ("schema", "refused"),
    [
        (nested(DEPTH_MAX), None),
        (nested(DEPTH_MAX + 1), "schema_too_deep"),
        (nested(900), "schema_too_deep"),
        ({"enum": [0] * (PARTS_MAX - 2)}, None),
        ({"enum": [0] * (PARTS_MAX - 1)}, "schema_too_large"),
        ({"description": "x" * (BYTES_MAX - 18)}, None),
        ({"description": "x" * (BYTES_MAX - 17)}, "schema_too_large"),
        ({"description": "é" * (BYTES_MAX // 2)}, "schema_too_large"),
    ],
)
def test_depth_parts_and_bytes_are_bounded(schema: Schema, refused: str | None) -> None:
    assert code(schema) == refused


@pytest.mark.parametrize("place", ["$defs", "definitions"])
@pytest.mark.parametrize(
    ("edges", "refused"),
    [
        ({"a": ["b"], "b": []}, None),
        ({"a": ["b", "b"], "b": ["c"], "c": []}, None),
        ({"a": ["a"]}, "recursive_schema"),
        ({"a": ["b"], "b": ["c"], "c": ["a"]}, "recursive_schema"),
        ({"a": [], "b": ["c"], "c": ["b"]}, "recursive_schema"),
        ({"a": ["nowhere"]}, "invalid_schema"),
    ],
)
def test_references_that_come_back_or_lead_nowhere_are_refused(
    place: str, edges: dict[str, list[str]], refused: str | None
) -> None:
    assert code(graph(edges, place)) == refused


@pytest.mark.parametrize(
    "reference", ["#", "", "#/properties/a", "http://127.0.0.1/s.json", "other.json", "#/$defs/a/b", "#/$defs/"]
)
def test_only_definitions_of_the_same_schema_are_referred_to(reference: str) -> None:
    assert code({"$defs": {"a": {}}, "properties": {"a": {"$ref": reference}}}) == "invalid_schema"


@pytest.mark.parametrize("definitions", [None, [], 1, "x", True])
def test_definitions_that_are_none_are_no_bug(definitions: object) -> None:
    assert code({"$defs": definitions}) is None
    assert code({"$defs": definitions, "$ref": "#/$defs/a"}) == "invalid_schema"


def test_a_property_may_be_called_ref() -> None:
    assert code({"properties": {"$ref": {"type": "string"}}}) is None


def test_a_long_chain_costs_no_more_than_its_length() -> None:
    begun_s = time.monotonic()
    for _ in range(40):
        assert code(chain(990)) is None
    assert time.monotonic() - begun_s < 10


names = st.sampled_from("abcdef")


@given(st.dictionaries(names, st.lists(names, max_size=3), max_size=6))
def test_a_schema_is_refused_if_and_only_if_it_cannot_be_unfolded(edges: dict[str, list[str]]) -> None:
    lost = any(other not in edges for others in edges.values() for other in others)
    expected = "invalid_schema" if lost else "recursive_schema" if comes_back(edges) else None
    assert code(graph(edges)) == expected


def comes_back(edges: dict[str, list[str]]) -> bool:
    """Whether some definition reaches itself: by walking one step further, as often as there are definitions."""
    reach = {name: set(others) for name, others in edges.items()}
    for _ in edges:
        reach = {name: others.union(*(reach[other] for other in others)) for name, others in reach.items()}
    return any(name in others for name, others in reach.items())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["$ref", "$defs", "definitions", "a"]), inner, max_size=3)
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(["$ref", "$defs", "definitions", "a"]), json_values, max_size=3))
def test_no_schema_breaks_the_bounds(schema: Schema) -> None:
    assert code(schema) in {None, "invalid_schema", "recursive_schema"}


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a,:"{[ ]}\\', max_size=8),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(alphabet='b,:"[', max_size=4), inner, max_size=5)
    ),
    max_leaves=40,
)


def values(node: object) -> int:
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return 1 + sum(values(child) for child in inner)


@given(st.dictionaries(st.text(alphabet='b,:"[', max_size=4), any_json, max_size=5))
def test_the_first_look_never_sees_fewer_parts_than_there_are(schema: Schema) -> None:
    assert bound_schema(schema, "x") >= values(schema)


def test_a_pattern_counts_for_several_parts() -> None:
    assert code({"a": [{"pattern": "a"}] * 190}) is None
    assert code({"a": [{"pattern": "a"}] * 210}) == "schema_too_large"
    assert code({"a": [{"patternProperties": {"a": {}, "b": {}}}] * 110}) == "schema_too_large"
