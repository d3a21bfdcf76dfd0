"""A JSON schema as a grammar of llguidance, which the llama.cpp wheel carries.

llama.cpp's own conversion lets some answers begin with a Markdown fence and is quadratic in optional properties;
llguidance is neither, but it ignores in silence what it does not know. So only keywords that were seen to hold are
accepted; anything else is refused by name, before the engine.
"""

import re
from typing import Any

import msgspec

from parvis.core.errors import BadRequest

_TYPES = {"object", "array", "string", "number", "integer", "boolean", "null"}
_ENFORCED = {
    "type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "$ref", "$defs",
    "definitions", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "pattern",
}  # fmt: skip
_WORDS = {"title", "description", "default", "examples", "$schema", "$id", "$comment", "deprecated"}
_ITEMS_MAX = 1_000
_COMPACT = {"whitespace_flexible": False}


def schema_grammar(wanted: dict[str, Any]) -> str:
    """The grammar of answers that satisfy this schema. Raises BadRequest (`unsupported_schema`)."""
    schema = _hold(wanted, "schema")
    text = msgspec.json.encode({**schema, "x-guidance": _COMPACT}).decode()
    return f"%llguidance {{}}\nstart: %json {text}"


def _hold(node: Any, where: str) -> dict[str, Any]:
    """The same schema, closed where it was left open, with nothing in it that would be ignored."""
    if not isinstance(node, dict):
        raise _unsupported(where, "is not an object")
    for keyword in node:
        if keyword not in _ENFORCED and keyword not in _WORDS:
            raise _unsupported(where, f"uses '{keyword[:50]}'")
    _check_values(node, where)
    held = {key: value for key, value in node.items() if key not in _WORDS}
    for group in ("properties", "$defs", "definitions"):
        if isinstance(inner := node.get(group), dict):
            held[group] = {name: _hold(child, f"{where}.{name}"[:200]) for name, child in inner.items()}
    if "items" in node:
        held["items"] = _hold(node["items"], f"{where}.items")
    if "anyOf" in node:
        held["anyOf"] = [_hold(child, f"{where}.anyOf") for child in node["anyOf"]]
    if "properties" in node:
        held.setdefault("additionalProperties", False)
    if isinstance(held.get("additionalProperties"), dict):
        held["additionalProperties"] = _hold(held["additionalProperties"], f"{where}.additionalProperties")
    return held


def _check_values(node: dict[str, Any], where: str) -> None:
    kinds = node.get("type", [])
    if not set(kinds if isinstance(kinds, list) else [kinds]) <= _TYPES:
        raise _unsupported(where, "has an unknown 'type'")
    for name in ("properties", "$defs", "definitions"):
        if not isinstance(node.get(name, {}), dict):
            raise _unsupported(where, f"has a '{name}' that is not an object")
    for name in ("anyOf", "enum", "required"):
        if name in node and not (isinstance(node[name], list) and (node[name] or name == "required")):
            raise _unsupported(where, f"has a '{name}' that is not a list")
    for name in ("minItems", "maxItems", "minLength", "maxLength"):
        if not (type(value := node.get(name, 0)) is int and 0 <= value <= _ITEMS_MAX):
            raise _unsupported(where, f"has a '{name}' that is not between 0 and {_ITEMS_MAX}")
    pattern = node.get("pattern", "")
    if not isinstance(pattern, str) or "(?" in pattern or re.search(r"\\[1-9bBkpP]", pattern):
        raise _unsupported(where, "has a 'pattern' with a lookaround, a reference or a class")
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        raise _unsupported(where, "has a 'pattern' that is no regular expression") from None


def _unsupported(where: str, what: str) -> BadRequest:
    return BadRequest(
        f"{where} {what}, which the engine of this model cannot enforce. Simplify the schema.",
        code="unsupported_schema",
        param="response_format",
    )
