"""`usage`, as engines report it and as customers read it. Source: OpenAI's API reference."""

import msgspec
from msgspec import Struct

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

    def tokens(self, reasoning_seen: int = 0) -> TokenCount | None:
        """Disjoint classes; None when the report contradicts itself. `reasoning_seen` stands in where it is silent."""
        completion = self.completion_tokens or 0
        cached = (self.prompt_tokens_details and self.prompt_tokens_details.cached_tokens) or 0
        details = self.completion_tokens_details
        reasoning = details.reasoning_tokens if details and details.reasoning_tokens is not None else reasoning_seen
        if not 0 <= cached <= self.prompt_tokens or not 0 <= reasoning <= completion:
            return None
        return TokenCount(self.prompt_tokens - cached, cached, completion - reasoning, reasoning)


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
