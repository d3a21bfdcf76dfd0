"""A JSON schema as EBNF of XGrammar, which OpenVINO carries: its own reading of schemas lets answers be mostly spaces.

Answers are compact: no space stands between marks. Of objects, named properties come in the schema's order, and no
others beside them. What cannot be held to is refused by name, so that no grammar that the engine would choke on ever
reaches a batch. Refused, too, is what would be slow to prepare, because all answers of a batch wait meanwhile: a
counted character takes 5 ms of a core, whatever else is in a schema next to nothing.
"""

import math
from collections.abc import Sequence
from typing import Any

from parvis.adapters.openvino.grammar_digits import DIGITS_MAX, FAR, decimal_numbers, listed_numbers, whole_numbers
from parvis.adapters.openvino.grammar_nodes import (
    TYPES,
    Node,
    allowed,
    bounds,
    check,
    is_number,
    quoted,
    refused,
    types,
)

DEPTH_MAX = 32
BYTES_MAX = 65_536
"""Of a grammar."""
COUNTED_CHARS_MAX = 100
"""Of all texts of a schema that differ in `minLength` or `maxLength`, together."""
_PLAIN = r'[^"\\\x00-\x1f]'
# A text is one rule that calls itself: a starred rule would be tried on every token of the vocabulary at each step.
# Only what cannot stand for itself is escaped, so that there are no halves of characters.
_BASE = rf"""
text ::= "\"" rest
rest ::= "\"" | {_PLAIN} rest | escape rest
escape ::= "\\" (["\\/bfnrt] | "u00" [01] [0-9a-fA-F])
natural ::= "0" | [1-9] [0-9]{{0,{DIGITS_MAX - 1}}}
whole ::= "-"? natural
number ::= whole ("." [0-9]{{1,{DIGITS_MAX}}})? ([eE] [+-]? [0-9]{{1,2}})?
boolean ::= "true" | "false"
any ::= text | number | boolean | "null" | object | list
object ::= "{{" (text ":" any ("," text ":" any)*)? "}}"
list ::= "[" (any ("," any)*)? "]"
"""


def grammar_of(schema: dict[str, Any]) -> str:
    """The grammar of answers that satisfy this schema. Raises Refused (`unsupported_schema`), naming the keyword."""
    return _Grammar(schema).text()


class _Grammar:
    """Rules, each once; a part of the schema becomes an expression that may name some of them."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema
        self._rules: dict[str, str] = {}
        """Names, by what they stand for."""
        self._bytes = 0
        self._referred: dict[str, str] = {}
        """Expressions of definitions; empty while one is being made."""
        self._counted: set[tuple[int, int | None]] = set()

    def text(self) -> str:
        root = self._value(self._schema, "schema", 0)
        rules = "\n".join(f"{name} ::= {body}" for body, name in self._rules.items())
        return f"root ::= {root}\n{rules}{_BASE}"

    def _rule(self, alternatives: Sequence[str]) -> str:
        body = " | ".join(alternatives)
        if body not in self._rules:
            self._rules[body] = f"r{len(self._rules)}"
            self._bytes += len(body.encode())
            if self._bytes > BYTES_MAX:
                raise refused("schema", "is too large", "Ask for fewer parts, or for shorter values.")
        return self._rules[body]

    def _value(self, part: Any, where: str, depth: int) -> str:
        if depth > DEPTH_MAX:
            raise refused(where, f"is nested deeper than {DEPTH_MAX} levels", "Nest less deeply.")
        node = check(part, where)
        if "$ref" in node:
            return self._reference(node["$ref"], where, depth)
        if "anyOf" in node:
            return self._choice(node["anyOf"], where, depth)
        if "const" in node or "enum" in node:
            return self._values(allowed(node, where), where)
        kinds = types(node, where)
        if kinds == TYPES:
            return "any"
        distinct = [kind for kind in kinds if kind != "integer" or "number" not in kinds]
        return self._rule([self._of_type(node, kind, where, depth) for kind in distinct])

    def _choice(self, choices: list[Any], where: str, depth: int) -> str:
        found = [self._value(choice, f"{where}.anyOf", depth + 1) for choice in choices]
        if sum(map(self._may_be_number, choices)) > 1:
            mend = "Say it in one: wider bounds, or one 'enum' of all."
            raise refused(where, "has more than one choice of a number in 'anyOf'", mend)
        return self._rule(found)

    def _may_be_number(self, node: Node) -> bool:
        """Of a part that has been translated."""
        if "$ref" in node:
            return self._may_be_number(self._definition(node["$ref"], ""))
        if "anyOf" in node:
            return any(map(self._may_be_number, node["anyOf"]))
        if "const" in node or "enum" in node:
            return any(map(is_number, allowed(node, "")))
        return not {"integer", "number"}.isdisjoint(types(node, ""))

    def _values(self, values: Sequence[Any], where: str) -> str:
        texts = [quoted(value, where) for value in values if not is_number(value)]
        numbers = [quoted(value, where).strip('"') for value in values if is_number(value)]
        return self._rule([*texts, *([listed_numbers(numbers)] if numbers else [])])

    def _of_type(self, node: Node, kind: str, where: str, depth: int) -> str:
        match kind:
            case "object":
                return self._object(node, where, depth)
            case "array":
                return self._list(node, where, depth)
            case "string":
                return self._text(node, where)
            case "integer" | "number":
                return self._number(node, kind, where)
        return '"null"' if kind == "null" else kind

    def _reference(self, pointer: Any, where: str, depth: int) -> str:
        target = self._definition(pointer, where)
        if pointer not in self._referred:
            self._referred[pointer] = ""
            self._referred[pointer] = self._value(target, pointer, depth + 1)
        if not self._referred[pointer]:
            raise refused(
                where, f"refers to itself by '$ref' {pointer[:50]!r}", "Write out as many levels as you need."
            )
        return self._referred[pointer]

    def _definition(self, pointer: Any, where: str) -> Any:
        place, _, name = pointer.removeprefix("#/").partition("/") if isinstance(pointer, str) else ("", "", "")
        group = self._schema.get(place) if place in {"$defs", "definitions"} else None
        if not isinstance(group, dict) or name not in group or pointer != f"#/{place}/{name}":
            raise refused(where, "has a '$ref' to elsewhere", "Refer to '#/$defs/NAME' of the same schema.")
        return group[name]

    def _object(self, node: Node, where: str, depth: int) -> str:
        named, more = node.get("properties", {}), node.get("additionalProperties", "properties" not in node)
        required = set(node.get("required", ()))
        if missing := sorted(required - named.keys()):
            raise refused(where, f"has a 'required' {missing[0][:50]!r} that is no property", "Add it to 'properties'.")
        if not named:
            return self._map(more, where, depth)
        if not isinstance(more, bool):
            raise refused(where, "has a schema of 'additionalProperties' beside 'properties'", "Keep one of the two.")
        members = [
            (f'{quoted(name, where)} ":" {self._value(child, f"{where}.{name}", depth + 1)}', name in required)
            for name, child in named.items()
        ]
        return f'"{{" {self._members(members)} "}}"'

    def _members(self, members: Sequence[tuple[str, bool]]) -> str:
        """From the last one on: what follows where something stands before it, and where nothing does."""
        after, first = '""', '""'
        for member, required in reversed(members):
            here = f"{member} {after}"
            first = self._rule([here] if required else [here, first])
            after = self._rule([f'"," {here}'] if required else [f'"," {here}', after])
        return first

    def _map(self, more: Any, where: str, depth: int) -> str:
        if more is False:
            return '"{}"'
        if more is True:
            return "object"
        entry = self._rule([f'text ":" {self._value(more, f"{where}.additionalProperties", depth + 1)}'])
        return f'"{{" ({entry} ("," {entry})*)? "}}"'

    def _list(self, node: Node, where: str, depth: int) -> str:
        item = self._value(node["items"], f"{where}.items", depth + 1) if "items" in node else "any"
        least, most = bounds(node, "minItems", "maxItems", where)
        if most == 0:
            return '"[]"'
        some = f'{item} ("," {item}){{{max(least, 1) - 1},{"" if most is None else most - 1}}}'
        return f'"[" {some} "]"' if least else f'"[" ({some})? "]"'

    def _text(self, node: Node, where: str) -> str:
        least, most = bounds(node, "minLength", "maxLength", where)
        if most is None and least <= 1:
            return f'"\\"" ({_PLAIN} | escape) rest' if least else "text"
        self._counted.add((least, most))
        if sum(least if most is None else most for least, most in self._counted) > COUNTED_CHARS_MAX:
            keyword = "minLength" if most is None else "maxLength"
            mend = f"Lower '{keyword}' so that they count {COUNTED_CHARS_MAX} characters at most, or leave it out."
            raise refused(where, f"has a '{keyword}' that makes all counted texts too long together", mend)
        some = f'"\\"" {_PLAIN}'
        return self._rule([f"{some}{{{least}}} rest" if most is None else f'{some}{{{least},{most}}} "\\""'])

    def _number(self, node: Node, kind: str, where: str) -> str:
        least, most = node.get("minimum", -FAR), node.get("maximum", FAR)
        if "minimum" not in node and "maximum" not in node:
            return "whole" if kind == "integer" else "number"
        low, high = max(-FAR, math.ceil(least)), min(FAR, math.floor(most))
        if kind == "number" and (least, most) != (low, high):
            raise refused(where, "bounds a 'number' by a fraction or too far", "Use whole numbers as bounds.")
        numerals = whole_numbers(low, high) if kind == "integer" else decimal_numbers(low, high)
        if not numerals:
            mend = "No number satisfies both, or none of up to 16 digits: change one."
            raise refused(where, "has a 'minimum' over its 'maximum'", mend)
        return self._rule([numerals])
