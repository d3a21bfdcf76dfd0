"""Counts in a JSON schema that engines unroll: a small schema can ask for a huge automaton."""

import math
import re
from typing import Any

from parvis.core.errors import BadRequest

COUNT_MAX = 16_384
"""The most that `maxLength`, `maxItems` and their like may say."""
PATTERN_CHARS_MAX = 512
PATTERN_PARTS = 8
"""What one pattern counts for among the parts of a schema: it is dearer to look at, and to enforce."""
PATTERN_REPEATS_MAX = 100_000
"""The product of all counted repetitions of one pattern."""
_REPEAT = re.compile(r"\{([0-9]+)(?:,([0-9]*))?\}")
_COUNTS = frozenset({"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"})


def bound_counts(node: dict[str, Any], param: str) -> int:
    """Refuse what one node of a schema asks too much of; give what its patterns count for.

    Raises BadRequest (`schema_too_large`).
    """
    for name in sorted(node.keys() & _COUNTS):
        count = node[name]
        if isinstance(count, int | float) and count > COUNT_MAX:
            raise _too_large(f"'{name}' in the schema in '{param}' is over {COUNT_MAX}.", param)
    pattern, keyed = node.get("pattern"), node.get("patternProperties")
    patterns = [*([pattern] if isinstance(pattern, str) else ()), *(keyed if isinstance(keyed, dict) else ())]
    if any(map(_is_costly, patterns)):
        raise _too_large(f"A pattern in the schema in '{param}' is too long, or repeats too much.", param)
    return len(patterns) * PATTERN_PARTS


def _is_costly(pattern: str) -> bool:
    if len(pattern) > PATTERN_CHARS_MAX:
        return True
    if "{" not in pattern:
        return False
    return math.prod([int(most or least) or 1 for least, most in _REPEAT.findall(pattern)]) > PATTERN_REPEATS_MAX


def _too_large(sentence: str, param: str) -> BadRequest:
    return BadRequest(sentence, code="schema_too_large", param=param)
