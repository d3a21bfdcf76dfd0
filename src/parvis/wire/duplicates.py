"""Keys that stand twice in one object of a body."""

import json
from typing import Any

from parvis.core.errors import BadRequest

KEYS_MAX = 20_000
"""In a body that must be read by the exact parser."""
QUOTE_CHARS_MAX = 200
_POLICY_KEYS = tuple(
    (name, f'"{name}"'.encode())
    for name in ("model", "messages", "prompt", "input", "n", "stream", "max_tokens", "max_completion_tokens")
)


def refuse_duplicates(body: bytes, read: object) -> None:
    """Refuse a body that says the same thing twice; `read` is what was read of it.

    The decoder takes the last of two in silence, and an engine is given what it took, so nothing is read in two ways;
    but who sends such a body means something else, or means to try. Reading exactly takes ten times as long, so only
    those bodies are read exactly in which a key that policy reads seems to stand twice, or could hide behind an escape.
    The body is valid JSON. Raises BadRequest (`duplicate_key`, `too_many_keys`).
    """
    suspicious = b"\\u00" in body
    for name, key in _POLICY_KEYS:
        if getattr(read, name, None) is not None and body.count(key) > 1:
            suspicious = True
    if suspicious:
        try:
            json.loads(body, object_pairs_hook=_Pairs().take)
        except RecursionError:
            raise BadRequest("The body is nested too deeply.", code="too_deep") from None


class _Pairs:
    """Looks at every object of one body."""

    def __init__(self) -> None:
        self._keys = 0

    def take(self, pairs: list[tuple[str, Any]]) -> None:
        self._keys += len(pairs)
        if self._keys > KEYS_MAX:
            raise BadRequest(f"The body has over {KEYS_MAX} keys.", code="too_many_keys")
        seen = set[str]()
        for key, _ in pairs:
            if key in seen:
                name = key[:QUOTE_CHARS_MAX]
                raise BadRequest(f"The key '{name}' stands twice in one object.", code="duplicate_key", param=name)
            seen.add(key)
