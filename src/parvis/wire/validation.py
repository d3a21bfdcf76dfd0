"""Strict reading of JSON bodies: a msgspec type in, a value or a clear BadRequest out."""

import re
from typing import TypeVar

import msgspec

from parvis.core.errors import BadRequest
from parvis.wire.bulk import LARGE_BYTES, bound_large

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
TOKEN_NUMBERS = {
    "prompt": "'prompt' holds token numbers. They depend on the tokenizer; send the text itself.",
    "input": "'input' holds token numbers. They depend on the tokenizer; send the texts themselves "
    "(in LangChain: check_embedding_ctx_length=False).",
}
"""Parameters in whose lists some clients send numbers, and what they are told."""


def decode(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T:
    """Decode, or raise BadRequest with the field's name in `param`, what is wrong, and what to do."""
    try:
        if len(body) > LARGE_BYTES:
            bound_large(body)
        return decoder.decode(body)
    except msgspec.ValidationError as problem:
        raise explain(str(problem)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest("The body is not valid JSON. Send one JSON object in UTF-8.", code="invalid_json") from None
    except RecursionError:
        raise BadRequest("The body is nested too deeply.", code="too_deep") from None


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
    field = path.partition("[")[0]
    if field in TOKEN_NUMBERS and field != path and what.startswith("Expected `str`, got"):
        return BadRequest(TOKEN_NUMBERS[field], code="unsupported_parameter", param=field)
    code = "unsupported_parameter" if field in ONE_VALUE_ONLY else None
    return BadRequest(f"Invalid value for '{path}': {what[0].lower()}{what[1:]}.", code=code, param=path)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
