"""Our own count of an answer: by the model's tokenizer where its engine has one at hand, else an estimate.

Used where the engine's count is missing or cannot be, and to tell reasoning from the rest where it came as text. What
is estimated is marked, and never above what was delivered.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from parvis.adapters.engines.thoughts import split
from parvis.core.tokens import TokenCount
from parvis.domain.catalog.model import Capability
from parvis.domain.metering.plausible import Ceiling, split_reasoning
from parvis.domain.metering.records import Operation
from parvis.domain.quota.admission import worst_case
from parvis.flows.ports import Job

BYTES_PER_TOKEN = 4
"""Of a text that nobody counted."""
Count = Callable[[Job, str], Awaitable[int | None]]
"""The tokens of a text by the tokenizer of a job's model; None where nobody answers."""


class Said(NamedTuple):
    """The texts of an answer, of all its choices."""

    visible: tuple[bytes, ...]
    thoughts: tuple[bytes, ...]
    beside: int
    """Tokens of what is no text, such as the arguments of a call, by our estimate."""


def ceiling_of(job: Job) -> Ceiling:
    """The most that this job's usage can be."""
    request, model = job.request, job.model
    worst = worst_case(
        input_bytes=request.input_bytes,
        template_tokens=model.template_tokens,
        context_tokens=model.context_tokens,
        output_tokens_max=job.output_tokens_max,
        choices=request.choices,
        prompts=request.prompts,
    )
    return Ceiling(worst.input_tokens_max, worst.output_tokens_max)


def prompt_estimate(job: Job) -> int:
    """Tokens of a prompt that no engine counted, from its texts alone: the model never sees the JSON around them."""
    return sum(len(text.encode()) for text in job.request.body.texts()) // BYTES_PER_TOKEN


def with_thoughts_apart(job: Job, texts: Iterable[bytes], thoughts: Iterable[bytes], beside: int) -> Said:
    """What was said. Of chats it is apart (see `thinking`); a completion's reasoning stands in its text."""
    visible, apart = list(texts), list(thoughts)
    if job.request.operation is Operation.COMPLETION and Capability.REASONING in job.model.capabilities:
        parts = [split(_text(text)) for text in visible]
        visible = [one.visible.encode() for one in parts]
        apart += [one.thought.encode() for one in parts]
    return Said(tuple(filter(None, visible)), tuple(filter(None, apart)), beside)


async def count_all(job: Job, said: Said, count: Count) -> TokenCount | None:
    """All of it, where there is no count of the engine's that can be; None when nobody has a tokenizer at hand."""
    prompt = await _sum(job, job.request.body.texts(), count)
    visible = None if prompt is None else await _sum(job, map(_text, said.visible), count)
    thoughts = None if visible is None else await _sum(job, map(_text, said.thoughts), count)
    if prompt is None or visible is None or thoughts is None:
        return None
    return within(ceiling_of(job), TokenCount(prompt, 0, visible + said.beside, thoughts))


async def count_thoughts(job: Job, said: Said, counted: TokenCount, count: Count) -> tuple[TokenCount, bool]:
    """The engine's count with reasoning apart, and whether that part is an estimate. The sum stays the engine's."""
    reasoning = await _sum(job, map(_text, said.thoughts), count)
    estimate = sum(map(len, said.thoughts)) // BYTES_PER_TOKEN
    return split_reasoning(counted, estimate if reasoning is None else reasoning), reasoning is None


def within(ceiling: Ceiling, tokens: TokenCount) -> TokenCount:
    """Our own count, as far as it was asked for."""
    output = min(tokens.output, ceiling.completion_tokens_max)
    reasoning = min(tokens.reasoning, ceiling.completion_tokens_max - output)
    return TokenCount(min(tokens.input, ceiling.prompt_tokens_max), 0, output, reasoning)


def _text(said: bytes) -> str:
    return said.decode(errors="replace")


async def _sum(job: Job, texts: Iterable[str], count: Count) -> int | None:
    """Ends at the first that nobody counts: the others would wait in vain."""
    total = 0
    for text in texts:
        tokens = await count(job, text)
        if tokens is None:
            return None
        total += tokens
    return total
