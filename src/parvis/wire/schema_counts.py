"""Counts in a JSON schema that engines unroll: a small schema can ask for a huge automaton."""

import math
import re
from typing import Any

from parvis.core.errors import BadRequest

COUNT_MAX = 16_384
"""The most that `maxLength`, `maxItems` and their like may say."""
PATTERN_CHARS_MAX = 512
PATTERN_REPEATS_MAX = 100_000
"""The product of all counted repetitions of one pattern."""
_REPEAT = re.compile(r"\{(?P<least>\d+)(?:,(?P<most>\d*))?\}")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")


def bound_counts(node: dict[str, Any], param: str) -> None:
    """Refuse what one node of a schema asks too much of. Raises BadRequest (`schema_too_large`)."""
    for name in _COUNTS:
        count = node.get(name)
        if isinstance(count, int | float) and count > COUNT_MAX:
            raise _too_large(f"'{name}' in the schema in '{param}' is over {COUNT_MAX}.", param)
    keyed = node.get("patternProperties")
    patterns = [node.get("pattern"), *(keyed if isinstance(keyed, dict) else ())]
    if any(isinstance(pattern, str) and _is_costly(pattern) for pattern in patterns):
        raise _too_large(f"A pattern in the schema in '{param}' is too long, or repeats too much.", param)


def _is_costly(pattern: str) -> bool:
    if len(pattern) > PATTERN_CHARS_MAX:
        return True
    repeats = (int(found["most"] or found["least"]) for found in _REPEAT.finditer(pattern))
    return math.prod(max(count, 1) for count in repeats) > PATTERN_REPEATS_MAX


def _too_large(sentence: str, param: str) -> BadRequest:
    return BadRequest(sentence, code="schema_too_large", param=param)
