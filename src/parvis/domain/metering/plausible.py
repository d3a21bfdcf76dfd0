"""Whether what an engine claims to have counted can be. What cannot be is kept as a claim, and never booked.

An engine's count is the truth, but an engine may be broken, or somebody else's. Every bound here is one that no honest
engine can pass: what was asked for, what was sent to it, and what came back.
"""

from typing import NamedTuple

from parvis.core.tokens import TokenCount

SILENT_TOKENS_EACH = 64
"""Tokens of one answer that leave no text: its end, marks around reasoning and calls, and a stop text."""


class Ceiling(NamedTuple):
    """The most that a request's usage can be, whatever happens."""

    prompt_tokens_max: int
    """The bound of its input: one token a byte, and what the template adds."""
    completion_tokens_max: int
    """What was asked for, over all answers."""


def is_plausible(tokens: TokenCount, ceiling: Ceiling, delivered_max: int) -> bool:
    """Whether these classes can be true. `delivered_max`: tokens that what was delivered can be, at one a byte."""
    read, cached, output, reasoning = tokens
    return (
        read >= 0 <= cached
        and output >= 0 <= reasoning
        and read + cached <= ceiling.prompt_tokens_max
        and output + reasoning <= ceiling.completion_tokens_max
        and output + reasoning <= delivered_max
    )


def fault(tokens: TokenCount | None, ceiling: Ceiling, delivered_max: int) -> str:
    """Why they cannot be, in a word; empty when they can. None are counts that contradict themselves."""
    if tokens is None or min(tokens) < 0:
        return "contradiction"
    if tokens.prompt_total > ceiling.prompt_tokens_max:
        return "prompt_above_its_text"
    if tokens.completion_total > ceiling.completion_tokens_max:
        return "completion_above_its_limit"
    if tokens.completion_total > delivered_max:
        return "completion_above_what_came"
    return ""


def split_reasoning(tokens: TokenCount, reasoning: int) -> TokenCount:
    """The same completion with so many of its tokens as reasoning: never more than there are."""
    completion = tokens.completion_total
    thought = min(max(reasoning, 0), completion)
    return tokens._replace(output=completion - thought, reasoning=thought)
