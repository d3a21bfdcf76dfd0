"""Strict reading of JSON bodies: a msgspec type in, a value or a clear BadRequest out."""

import re
from typing import Any, TypeVar

import msgspec

from parvis.core.errors import BadRequest

T = TypeVar("T")

_PATH = re.compile(r" - at `\$(?P<path>.*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`")
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`")

SCHEMA_DEPTH_MAX = 32
SCHEMA_NODES_MAX = 2_000
SCHEMA_BYTES_MAX = 65_536


def decode(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T:
    """Decode, or raise BadRequest with the field's name in `param`, what is wrong, and what to do."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as problem:
        raise explain(str(problem)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest("The body is not valid JSON. Send one JSON object in UTF-8.", code="invalid_json") from None


def explain(problem: str) -> BadRequest:
    """Turn msgspec's sentence about a place into the protocol's error about a parameter."""
    at = _PATH.search(problem)
    path = at["path"].lstrip(".") if at else ""
    what = problem[: at.start()] if at else problem
    if unknown := _UNKNOWN.fullmatch(what):
        name = _join(path, unknown["name"])[:200]
        return BadRequest(f"Unrecognized parameter: '{name}'. Remove it.", code="unknown_parameter", param=name)
    if missing := _MISSING.fullmatch(what):
        name = _join(path, missing["name"])
        return BadRequest(f"Missing required parameter: '{name}'.", code="missing_required_parameter", param=name)
    if not path:
        return BadRequest(f"The body must be a JSON object. {what}.")
    return BadRequest(f"Invalid value for '{path}': {what[0].lower()}{what[1:]}.", param=path)


def bound_schema(schema: dict[str, Any] | None, param: str) -> None:
    """Refuse a JSON schema that could hurt an engine: too large, too deep, or with a reference that comes back."""
    if schema is None:
        return
    _walk(schema, param)
    if len(msgspec.json.encode(schema)) > SCHEMA_BYTES_MAX:
        raise BadRequest(
            f"The schema in '{param}' is over {SCHEMA_BYTES_MAX} bytes.", code="schema_too_large", param=param
        )
    _refuse_cycles(schema, param)


def _walk(schema: Any, param: str) -> None:
    nodes, level, depth = 0, [schema], 0
    while level:
        nodes += len(level)
        depth += 1
        if depth > SCHEMA_DEPTH_MAX:
            raise BadRequest(
                f"The schema in '{param}' is nested deeper than {SCHEMA_DEPTH_MAX} levels.",
                code="schema_too_deep",
                param=param,
            )
        if nodes > SCHEMA_NODES_MAX:
            raise BadRequest(
                f"The schema in '{param}' has over {SCHEMA_NODES_MAX} parts.",
                code="schema_too_large",
                param=param,
            )
        level = [child for node in level for child in _children(node)]


def _children(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else []


def _references(node: Any) -> set[str]:
    """Every `$ref` at or below a node."""
    found, level = set(), [node]
    while level:
        found |= {ref for n in level if isinstance(n, dict) and isinstance(ref := n.get("$ref"), str)}
        level = [child for n in level for child in _children(n)]
    return found


def _refuse_cycles(schema: dict[str, Any], param: str) -> None:
    definitions = {
        f"#/{place}/{name}": _references(definition)
        for place in ("$defs", "definitions")
        for name, definition in (schema.get(place) or {}).items()
        if isinstance(schema.get(place), dict)
    }
    wanted = _references(schema)
    for ref in wanted:
        if ref not in definitions:
            raise BadRequest(
                f"The schema in '{param}' refers to '{ref}'. Only '#/$defs/NAME' of the same schema can be used.",
                code="invalid_schema",
                param=param,
            )
    for start in wanted:
        reached, frontier = set[str](), definitions[start]
        while frontier:
            reached |= frontier
            frontier = set().union(*(definitions[ref] for ref in frontier)) - reached
        if start in reached:
            raise BadRequest(f"The schema in '{param}' refers to itself.", code="recursive_schema", param=param)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
