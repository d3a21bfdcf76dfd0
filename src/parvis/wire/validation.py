"""Strict reading of JSON bodies: a msgspec type in, a value or a clear BadRequest out."""

import re
from graphlib import CycleError, TopologicalSorter
from typing import Any, TypeVar

import msgspec

from parvis.core.errors import BadRequest
from parvis.wire.schema_counts import bound_counts

T = TypeVar("T")

_PATH = re.compile(r" - at (?:`key` in )?`\$(?P<path>.*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`")

QUOTE_CHARS_MAX = 200
"""How much of what was sent an error may say again."""
ONE_VALUE_ONLY = ("verbosity", "modalities")
"""Parameters whose other values would change the answer and cannot be honoured."""
UNSUPPORTED = frozenset({"audio", "function_call", "functions", "web_search_options"})
"""Parameters of OpenAI's that would change the answer and cannot be honoured."""
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
        name = _join(path, unknown["name"])[:QUOTE_CHARS_MAX]
        if name in UNSUPPORTED:
            return BadRequest(f"'{name}' is not supported. Remove it.", code="unsupported_parameter", param=name)
        return BadRequest(f"Unrecognized parameter: '{name}'. Remove it.", code="unknown_parameter", param=name)
    if missing := _MISSING.fullmatch(what):
        name = _join(path, missing["name"])
        return BadRequest(f"Missing required parameter: '{name}'.", code="missing_required_parameter", param=name)
    what = what[:QUOTE_CHARS_MAX]
    if not path:
        return BadRequest(f"The body must be a JSON object. {what}.")
    code = "unsupported_parameter" if path.partition("[")[0] in ONE_VALUE_ONLY else None
    return BadRequest(f"Invalid value for '{path}': {what[0].lower()}{what[1:]}.", code=code, param=path)


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
        for node in level:
            if isinstance(node, dict):
                bound_counts(node, param)
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
        if isinstance(named := schema.get(place), dict)
        for name, definition in named.items()
    }
    for ref in _references(schema):
        if ref not in definitions:
            raise BadRequest(
                f"The schema in '{param}' refers to '{ref[:QUOTE_CHARS_MAX]}'. "
                "Only '#/$defs/NAME' of the same schema can be used.",
                code="invalid_schema",
                param=param,
            )
    try:
        TopologicalSorter(definitions).prepare()  # linear, whatever the references look like
    except CycleError:
        raise BadRequest(f"The schema in '{param}' refers to itself.", code="recursive_schema", param=param) from None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
