"""One part of a JSON schema, looked at before it is translated: nothing in it may be ignored, or mean nothing.

The keywords are those that llama.cpp is held to (`adapters/engines/grammar.py`), but for `pattern`.
"""

import json
import math
from typing import Any

from parvis.adapters.openvino.errors import Refused

Node = dict[str, Any]
_BY_TYPE = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"minLength", "maxLength"},
    "number": {"minimum", "maximum"},
    "integer": {"minimum", "maximum"},
    "boolean": set[str](),
    "null": set[str](),
}
TYPES = tuple(_BY_TYPE)
_CHOICES = {"$ref", "const", "enum", "anyOf"}
_WORDS = {"title", "description", "default", "examples", "$schema", "$id", "$comment", "deprecated"}
_DEFINITIONS = {"$defs", "definitions"}
_ENFORCED = {"type", *_CHOICES}.union(*_BY_TYPE.values())
COUNT_MAX = 1_000
"""Of items, and of characters where only this is asked."""
QUOTED_CHARS_MAX = 50


def refused(where: str, what: str, mend: str) -> Refused:
    """`where` is a path into the schema; `mend` is a sentence that says what to write instead."""
    message = f"{where[:200]} {what}, which this model's engine cannot enforce. {mend}"
    return Refused(message, param="response_format", code="unsupported_schema")


def check(node: Any, where: str) -> Node:
    """The same part, when each keyword of it is known, well formed and not at odds with another. Raises Refused."""
    if not isinstance(node, dict):
        raise refused(where, "is not an object", 'Write a schema there, for example {"type": "string"}.')
    said = node.keys() - _WORDS - _DEFINITIONS
    if unknown := sorted(said - _ENFORCED):
        raise refused(where, f"uses '{unknown[0][:QUOTED_CHARS_MAX]}'", "Leave this keyword out.")
    if choice := said & _CHOICES:
        beside = said - choice if len(choice) == 1 else choice
        if choice <= {"const", "enum"} and len(choice) == 1:
            beside = beside - {"type"}
        if beside:
            chosen, other = min(choice), max(beside)
            raise refused(where, f"has '{other}' beside '{chosen}'", f"Keep one of '{other}' and '{chosen}'.")
    _check_shapes(node, where)
    return node


def _check_shapes(node: Node, where: str) -> None:
    if not isinstance(node.get("properties", {}), dict):
        raise refused(where, "has 'properties' that are not an object", "Give each property a schema by its name.")
    for name in ("anyOf", "enum"):
        if name in node and not (isinstance(node[name], list) and node[name]):
            raise refused(where, f"has an '{name}' that lists nothing", f"Give '{name}' a list of at least one entry.")
    required = node.get("required", [])
    if not (isinstance(required, list) and all(isinstance(name, str) for name in required)):
        raise refused(where, "has a 'required' that does not list names", "Give 'required' a list of names.")
    for name in ("minItems", "maxItems", "minLength", "maxLength"):
        if not (type(count := node.get(name, 0)) is int and 0 <= count <= COUNT_MAX):
            raise refused(where, f"has a '{name}' that is not from 0 to {COUNT_MAX}", f"Change '{name}', or drop it.")
    for name in ("minimum", "maximum"):
        if name in node and not _is_finite(node[name]):
            raise refused(where, f"has a '{name}' that is not a number", f"Give '{name}' a number, or drop it.")


def types(node: Node, where: str) -> tuple[str, ...]:
    """What a value may be, as said or as the keywords suggest; all types when nothing does. Raises Refused."""
    said = node.get("type")
    if said is None:
        suggested = [kind for kind, keywords in _BY_TYPE.items() if keywords & node.keys() and kind != "integer"]
        return tuple(suggested) or TYPES
    kinds = said if isinstance(said, list) else [said]
    if not kinds or not all(isinstance(kind, str) and kind in _BY_TYPE for kind in kinds):
        raise refused(where, "has an unknown 'type'", f"Use one of {', '.join(TYPES)}.")
    return tuple(dict.fromkeys(kinds))


def allowed(node: Node, where: str) -> list[Any]:
    """The values of `const` or `enum` that `type` allows. Raises Refused when there is none, or one is no JSON."""
    values = [node["const"]] if "const" in node else node["enum"]
    kinds = types({"type": node["type"]}, where) if "type" in node else TYPES
    fitting = [value for value in values if any(_is_of(kind, value) for kind in kinds)]
    if not fitting:
        raise refused(where, "has no value of its 'type'", "Change 'type', or the values.")
    return fitting


def bounds(node: Node, least: str, most: str, where: str) -> tuple[int, int | None]:
    """How few and how many; None: as many as one likes. Raises Refused when nothing is between them."""
    low, high = node.get(least, 0), node.get(most)
    if high is not None and high < low:
        raise refused(where, f"has a '{least}' over its '{most}'", "No value satisfies both: change one.")
    return low, high


def quoted(value: Any, where: str) -> str:
    """This very value as compact JSON, as a literal of EBNF. Raises Refused for what is no JSON."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        text.encode()
    except (ValueError, TypeError, RecursionError):
        raise refused(where, "has a value that cannot be written as JSON", "Change the value.") from None
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def is_number(value: Any) -> bool:
    """Whether JSON writes it as one: truth is none."""
    return type(value) in {int, float}


def _is_finite(value: Any) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _is_of(kind: str, value: Any) -> bool:
    match kind:
        case "integer":
            return type(value) is int or (type(value) is float and value.is_integer())
        case "number":
            return is_number(value)
        case "null":
            return value is None
    return type(value) is {"object": dict, "array": list, "string": str, "boolean": bool}[kind]
