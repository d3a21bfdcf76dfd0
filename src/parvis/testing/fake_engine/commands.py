"""How a test steers the fake engine: words of the last user message, such as `@tokens=50 @cut_after=7`.

The names, units and meanings are the fields of `Commands`. A word that is no command, or has a value of the
wrong kind, is ordinary text. Orders for all requests are `Faults`; a request's own words come first.
"""

import re

import msgspec

_WORD = re.compile(r"@([a-z_]+)(?:=(\d{1,9}))?")


class Commands(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to answer one request, and how to fail. Each field is a command: `@tokens=5`, `@garbage`."""

    tokens: int = 8
    """Visible tokens. All tokens together are capped by `max_tokens`; what it cuts ends with `length`."""
    reason: int = 0
    """Reasoning tokens before the visible ones."""
    tool: bool = False
    """Call the first tool of the request instead of writing text."""
    json: bool = False
    """Answer an object that fits the request's JSON schema, or a small one."""
    echo: bool = False
    """Say the request's own words again, as the answer and as the reasoning, each word a token."""
    think: bool = False
    """Leave the reasoning in the text, between `<think>` and `</think>`, each of which is one of its tokens."""
    half_marks: bool = False
    """Each of these marks is two of its tokens."""
    no_opening: bool = False
    """Leave the first of them out, as if the template had said it."""
    says_none: bool = False
    """Tell usage without any reasoning, as an engine that does not look into its texts."""
    runaway: bool = False
    """Go on beyond `max_tokens`."""
    bundle: int = 1
    """Tokens in one streamed event: a busy engine sends several."""

    first_ms: int = 0
    """Wait before the first byte, the status line included."""
    prefill_ms: int = 0
    """Wait between the headers of a stream and its first event, as an engine that reads a long prompt."""
    gap_ms: int = 0
    """Wait between token events; 0 runs as fast as the peer reads."""

    split: int = 0
    """Send a stream in pieces of N bytes, each an HTTP chunk and a TCP write of its own."""
    merge: bool = False
    """Send a whole stream in one write."""

    status: int = 0
    """Answer an error with this HTTP status."""
    drop: bool = False
    """Close the connection before the first byte."""
    hang: bool = False
    """Never answer a byte."""
    hang_after: int | None = None
    """Fall silent after N token events, until the peer leaves."""
    cut_after: int | None = None
    """Close the connection after N token events."""
    cut_bytes: int | None = None
    """Close the connection when exactly N bytes of the body were sent; the framing of HTTP does not count."""
    reset: bool = False
    """Cut with a TCP reset instead of an orderly end."""

    garbage: bool = False
    """Midway one event (or the whole body) that is no JSON."""
    error_event: bool = False
    """Midway an event with `error`, then the end: with `[DONE]` from vLLM, without from the others."""
    no_done: bool = False
    """End the stream cleanly, without `[DONE]`."""
    no_role: bool = False
    """Leave the opening chunk out, as llama.cpp does when its first token is half a character."""
    no_usage: bool = False
    """Leave usage out everywhere."""
    no_reasoning_usage: bool = False
    """Leave reasoning out of usage."""
    wrong_usage: int | None = None
    """Claim N completion tokens at the end."""
    wrong_running: int | None = None
    """Claim N completion tokens while it runs; of llama.cpp, at the end too."""
    wrong_prompt: int | None = None
    """Claim N prompt tokens, wherever it counts."""
    negative_usage: bool = False
    """Claim one completion token less than none, wherever it counts."""
    half_usage: bool = False
    """Claim half a completion token too many, wherever it counts."""
    huge_usage: bool = False
    """Claim more tokens than JSON's readers can count, wherever it counts."""
    text_usage: bool = False
    """Claim a text in place of a number, wherever it counts."""
    cached_above: bool = False
    """Claim that more of the prompt was cached than it has."""
    reasoning_above: bool = False
    """Claim more reasoning than the completion has."""
    falling: bool = False
    """Count down while it runs."""
    quote: bool = False
    """Quote the whole request in every error, and in what is no JSON."""


class Faults(Commands, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Orders for all requests."""

    health_status: int = 200
    """What `GET /health` answers."""
    miscount: int = 0
    """How many generated tokens too many `GET /metrics` tells."""
    no_tokenizer: bool = False
    """Know nothing of `POST /tokenize`."""


_FLAGS = frozenset(name for name, kind in Commands.__annotations__.items() if kind is bool)
_NUMBERS = frozenset(Commands.__annotations__) - _FLAGS


def commands(text: str, defaults: Commands) -> Commands:
    """The commands that `text` holds, over `defaults`."""
    if "@" not in text:
        return defaults
    return msgspec.structs.replace(defaults, **dict(filter(None, map(_command, text.split()))))


def without_commands(text: str) -> str:
    """What is left to answer: the same for all variants of a request that differ in their commands alone."""
    if "@" not in text:
        return text
    return " ".join(word for word in text.split() if not _command(word))


def _command(word: str) -> tuple[str, int | bool] | None:
    """The field that a word sets, if it is a command."""
    match = _WORD.fullmatch(word)
    if not match:
        return None
    name, value = match.groups()
    if name in (_FLAGS if value is None else _NUMBERS):
        return name, True if value is None else int(value)
    return None
