"""`usage`, as engines report it and as customers read it. Source: OpenAI's API reference."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from parvis.core.tokens import TokenCount


class PromptDetails(Struct, omit_defaults=True, gc=False):
    cached_tokens: int | None = None


class CompletionDetails(Struct, omit_defaults=True, gc=False):
    reasoning_tokens: int | None = None


class Usage(Struct, gc=False):
    """An engine's report. Fields beyond these are ignored."""

    prompt_tokens: int = 0
    completion_tokens: int | None = 0
    total_tokens: int = 0
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    reasoning_tokens: int | None = None
    """As SGLang tells it (its `UsageInfo`), 0 where it does not know."""

    def tokens(self, reasoning_seen: int = 0) -> TokenCount | None:
        """Disjoint classes; None when the report contradicts itself. `reasoning_seen` stands in where it is silent."""
        completion = self.completion_tokens or 0
        cached = (self.prompt_tokens_details and self.prompt_tokens_details.cached_tokens) or 0
        details = self.completion_tokens_details
        told = details.reasoning_tokens if details else None
        reasoning = told if told is not None else self.reasoning_tokens or reasoning_seen
        if not 0 <= cached <= self.prompt_tokens or not 0 <= reasoning <= completion:
            return None
        return TokenCount(self.prompt_tokens - cached, cached, completion - reasoning, reasoning)

    @property
    def tells_reasoning(self) -> bool:
        """Whether the engine itself says how much of it was reasoning."""
        details = self.completion_tokens_details
        return bool(self.reasoning_tokens) or (details is not None and details.reasoning_tokens is not None)


CLAIM_CHARS_MAX = 500
_NUMBER_CHARS_MAX = 40
NUMBER_MAX = 2**53
"""What every reader of JSON understands; greater numbers are told as texts."""


def claim_text(why: str, claimed: Struct | Raw | None) -> str:
    """What an engine claimed and cannot be, as a short JSON text: numbers under their names, never content."""
    told = msgspec.json.decode(claimed) if isinstance(claimed, Raw) else msgspec.to_builtins(claimed)
    facts: dict[str, object] = {"why": why, "claimed": _numbers(told)}
    text = msgspec.json.encode(facts).decode()
    return text if len(text) <= CLAIM_CHARS_MAX else msgspec.json.encode({"why": why, "claimed": "too long"}).decode()


def _numbers(claimed: Any) -> object:
    """Only what belongs to a count; of anything but a number, its kind."""
    if isinstance(claimed, Mapping):
        return {name: _numbers(value) for name, value in claimed.items() if name in _COUNTED and value is not None}
    if isinstance(claimed, int | float):
        return claimed if -NUMBER_MAX <= claimed <= NUMBER_MAX else str(claimed)[:_NUMBER_CHARS_MAX]
    return f"no number: {type(claimed).__name__}"


_COUNTED = frozenset(
    {
        *Usage.__struct_fields__,
        *PromptDetails.__struct_fields__,
        *CompletionDetails.__struct_fields__,
        "prompt_n",
        "cache_n",
        "predicted_n",
    }
)


def usage_json(tokens: TokenCount) -> bytes:
    """The object that customers read: the same numbers that are billed."""
    return (
        b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,'
        b'"prompt_tokens_details":{"cached_tokens":%d},"completion_tokens_details":{"reasoning_tokens":%d}}'
        % (tokens.prompt_total, tokens.completion_total, tokens.total, tokens.cached, tokens.reasoning)
    )


def embedding_usage_json(tokens: TokenCount) -> bytes:
    """Embeddings have no completion."""
    return msgspec.json.encode({"prompt_tokens": tokens.prompt_total, "total_tokens": tokens.prompt_total})
