"""The worst case of a request, known before anything is computed."""

from typing import NamedTuple

from parvis.core.quantities import Quantities


class WorstCase(NamedTuple):
    """Upper bounds, in tokens, over all choices of one request."""

    input_tokens_max: int
    output_tokens_max: int
    output_tokens_each: int
    """The bound of one choice of one prompt: what the engine is told."""
    quantities: Quantities | None = None
    """What it can use beside tokens."""


def worst_case(
    *,
    input_bytes: int,
    template_tokens: int,
    context_tokens: int,
    output_tokens_max: int | None,
    choices: int,
    prompts: int = 1,
) -> WorstCase:
    """Bound a request's tokens.

    A byte-level tokenizer makes at most one token of a byte, so the UTF-8 length of every text that the engine will
    see, plus what the model's template adds, bounds the input; nothing exceeds the context. Without a limit of the
    caller's, the answer may fill the context. Each of several prompts has a context of its own.
    """
    input_max = min(input_bytes + template_tokens * prompts, context_tokens * prompts)
    output_max = context_tokens if output_tokens_max is None else min(output_tokens_max, context_tokens)
    return WorstCase(input_max, output_max * choices * prompts, output_max)


def counted(worst: WorstCase, input_tokens: int) -> WorstCase:
    """The same request, its prompts counted by who will read them. A count is never believed above the bound."""
    return worst._replace(input_tokens_max=min(worst.input_tokens_max, input_tokens))


def shortened(worst: WorstCase, output_tokens_max: int) -> WorstCase | None:
    """The same request with no more output in all than this; None when that is not a token for each of its answers."""
    if not worst.output_tokens_each:
        return None
    answers = worst.output_tokens_max // worst.output_tokens_each
    each = min(output_tokens_max // answers, worst.output_tokens_each)
    return worst._replace(output_tokens_max=each * answers, output_tokens_each=each) if each > 0 else None
