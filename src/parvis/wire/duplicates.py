"""Keys that stand twice in one object of a body, at any depth and however they are spelled."""

import json
from json.scanner import make_scanner
from typing import Any

from parvis.core.errors import BadRequest

QUOTE_CHARS_MAX = 200


def _take(pairs: list[tuple[str, Any]]) -> None:
    """Look at one object. Nothing is made of it."""
    if len(dict(pairs)) < len(pairs):
        keys = [key for key, _ in pairs]
        name = next(key for place, key in enumerate(keys) if key in keys[:place])[:QUOTE_CHARS_MAX]
        raise BadRequest(f"The key '{name}' stands twice in one object.", code="duplicate_key", param=name)


# Numbers are not made either: those of many digits would be refused, or take their time. The scanner alone is asked,
# since the white space around the object was looked at before.
_taker = json.JSONDecoder(object_pairs_hook=_take, parse_int=str, parse_float=str)
_scan = make_scanner(_taker)  # type: ignore[arg-type]  # what it asks for are a decoder's attributes


def refuse_duplicates(body: bytes) -> None:
    """Refuse a body that says the same thing twice.

    The decoder takes the last of two in silence, and an engine is given what it took, so nothing is read in two ways;
    but who sends such a body means something else, or means to try. `body` was read by the decoder before: it is valid
    JSON of bounded size. A second reading of all of it takes about as long as the first. Raises BadRequest
    (`duplicate_key`, `too_deep`).
    """
    try:
        _scan(body.decode().lstrip(), 0)
    except RecursionError:
        raise BadRequest("The body is nested too deeply.", code="too_deep") from None
