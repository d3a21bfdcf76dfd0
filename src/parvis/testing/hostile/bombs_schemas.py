"""Bombs in tools and JSON schemas: their number, size, depth, counts, patterns and references."""

import json
from typing import Any

from parvis.testing.hostile.bomb import Bomb, chat, more

Json = dict[str, Any]


def _tool(parameters: Json, name: str = "f") -> Json:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def _tools(name: str, code: str, *parameters: Json) -> Bomb:
    return chat(name, code, tools=[_tool(schema, f"f{place}") for place, schema in enumerate(parameters)])


def _formed(name: str, code: str, schema: Json) -> Bomb:
    return chat(name, code, response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}})


def _nested(depth: int) -> Json:
    inner: Json = {}
    for _ in range(depth):
        inner = {"properties": {"a": inner}}
    return inner


_LOOP: Json = {
    "$ref": "#/$defs/a",
    "$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"items": {"$ref": "#/$defs/a"}}},
}
TOOLS: tuple[Bomb, ...] = (
    _tools("tools", "invalid_value", *[{}] * 1000),
    _tools("one tool too many", "invalid_value", *[{}] * 129),
    _tools("a tool that is large", "schema_too_large", {"description": "x" * 100_000}),
    _tools("tools that are large together", "schema_too_large", *[{"description": "x" * 60_000}] * 5),
    _tools("tools that are huge", "schema_too_large", *[{"description": "x" * 60_000}] * 10),
    _tools("tools of lists", "schema_too_large", {"enum": [[]] * 200_000}),
    _tools("tools of many parts together", "schema_too_large", *[{"enum": [[]] * 1900}] * 6),
    _tools("tools of many patterns", "schema_too_large", *[{"a": [{"pattern": "a{1}b{1}"}] * 900}] * 6),
    _tools("a tool that is deep", "schema_too_deep", _nested(40)),
    _tools("a tool of many parts", "schema_too_large", {"enum": list(range(3000))}),
    _tools("a tool that calls itself", "recursive_schema", {"$defs": {"a": {"$ref": "#/$defs/a"}}}),
    _tools("two that call each other", "recursive_schema", _LOOP),
    _tools("a tool that calls nobody", "invalid_schema", {"$ref": "#/$defs/nobody"}),
    chat("a tool's long name", tools=[_tool({}, "f" * 65)]),
    chat("a tool's name with a space", tools=[_tool({}, "f f")]),
    chat("a tool twice", tools=[_tool({}), _tool({})]),
    chat("a tool of another type", tools=[{"type": "retrieval"}]),
    chat("a tool without a function", "missing_required_parameter", tools=[{"type": "function"}]),
    chat("a choice of no tool", tool_choice="required"),
    chat(
        "a choice of another tool",
        tools=[_tool({})],
        tool_choice={"type": "function", "function": {"name": "g"}},
    ),
    more("a tool without end", "too_deep", ',"tools":[{"type":"function","function":{"parameters":' + '{"a":' * 5000),
)
SCHEMAS: tuple[Bomb, ...] = (
    _formed("a schema that is deep", "schema_too_deep", _nested(100)),
    _formed("a schema of lists that is deep", "schema_too_deep", {"enum": json.loads("[" * 40 + "]" * 40)}),
    _formed("a schema that is large", "schema_too_large", {"description": "x" * 70_000}),
    _formed("a schema that is huge", "schema_too_large", {"description": "x" * 200_000}),
    _formed("a schema of many parts", "schema_too_large", {"properties": {str(n): {} for n in range(2001)}}),
    _formed("a schema of many values", "schema_too_large", {"enum": list(range(3000))}),
    _formed("a schema that loops", "recursive_schema", _LOOP),
    _formed(
        "a schema that loops by another name", "recursive_schema", {"definitions": {"a": {"$ref": "#/definitions/a"}}}
    ),
    _formed(
        "a long loop",
        "recursive_schema",
        {"$defs": {f"d{n}": {"$ref": f"#/$defs/d{(n + 1) % 500}"} for n in range(500)}},
    ),
    *(
        _formed(f"a schema from {place}", "invalid_schema", {"$ref": reference})
        for place, reference in {
            "elsewhere": "http://127.0.0.1:1/schema.json",
            "a file": "file:///etc/passwd",
            "itself": "#",
            "a property": "#/properties/a",
            "another document": "other.json#/a",
        }.items()
    ),
    *(
        _formed(f"a pattern {what}", "schema_too_large", {"type": "string", "pattern": pattern})
        for what, pattern in {
            "that repeats repeats": "((a{1000}){1000}){1000}",
            "that repeats beyond numbers": "a{99999999999999}",
            "that repeats at least beyond numbers": "a{99999999,}",
            "that is long": "a|" * 5000,
            "of nested repeats": "(((((a{30}){30}){30}){30}){30}){30}",
            "of 400 digits": "a{" + "9" * 400 + "}",
        }.items()
    ),
    _formed("a pattern for names", "schema_too_large", {"patternProperties": {"(a{1000}){1000}": {}}}),
    _formed("a long pattern for names", "schema_too_large", {"patternProperties": {"a" * 600: {}}}),
    *(
        _formed(f"{word} to unroll", "schema_too_large", {word: 10**9})
        for word in ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
    ),
    _formed("a length without measure", "schema_too_large", {"maxLength": 1e300}),
    _formed("a length deep within", "schema_too_large", {"properties": {"a": {"items": {"maxLength": 10**9}}}}),
    chat("a format without its schema", "missing_required_parameter", response_format={"type": "json_schema"}),
    chat("a format that nobody knows", response_format={"type": "regex", "pattern": "(a+)+"}),
)
BOMBS = (*TOOLS, *SCHEMAS)
