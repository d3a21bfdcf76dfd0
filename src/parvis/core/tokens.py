"""Counted tokens, in four classes that never overlap, so that each token is priced exactly once."""

from typing import NamedTuple


class TokenCount(NamedTuple):
    """Tokens of one request. The wire's totals are sums: `prompt_tokens` = input + cached."""

    input: int = 0
    """Prompt tokens that the engine computed (system text included)."""
    cached: int = 0
    """Prompt tokens that came from the prefix cache."""
    output: int = 0
    """Visible answer tokens."""
    reasoning: int = 0
    """Answer tokens of reasoning."""

    @property
    def prompt_total(self) -> int:
        return self.input + self.cached

    @property
    def completion_total(self) -> int:
        return self.output + self.reasoning

    @property
    def total(self) -> int:
        return self.input + self.cached + self.output + self.reasoning


NO_TOKENS = TokenCount()
