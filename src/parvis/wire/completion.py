"""`POST /v1/completions`: the older protocol, text in and text out. Source: OpenAI's API reference."""

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from parvis.core.errors import BadRequest
from parvis.wire.chat_shapes import (
    CHOICES_MAX,
    Bias,
    ModelName,
    Penalty,
    PositiveInt,
    Seed,
    Stop,
    StreamOptions,
    Temperature,
    TopP,
)
from parvis.wire.validation import decode

PROMPTS_MAX = 16
MAX_TOKENS_DEFAULT = 16
"""What the protocol says when `max_tokens` is not given."""


class CompletionBody(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The whole request. `None` is "not given" and is not sent on."""

    model: ModelName
    prompt: str | Annotated[list[str], Meta(min_length=1, max_length=PROMPTS_MAX)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: PositiveInt | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    n: Annotated[int, Meta(ge=1, le=CHOICES_MAX)] | None = None
    stop: Stop | None = None
    seed: Seed | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: Bias | None = None
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    echo: bool | None = None
    best_of: int | None = None
    suffix: str | None = None
    top_k: Annotated[int, Meta(ge=-1, le=100_000)] | None = None
    min_p: TopP | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=2)] | None = None
    ignore_eos: bool | None = None
    min_tokens: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    user: str | None = None

    def texts(self) -> Iterator[str]:
        yield from self.prompts()

    def prompts(self) -> list[str]:
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt


EXTRAS = ("top_k", "min_p", "repetition_penalty", "ignore_eos", "min_tokens")
_decoder = msgspec.json.Decoder(CompletionBody)


def read_completion(body: bytes) -> CompletionBody:
    """Decode and check what types alone cannot. Raises BadRequest."""
    completion = decode(_decoder, body)
    if completion.best_of not in (None, 1, completion.n):
        raise BadRequest("'best_of' is not supported. Remove it.", code="unsupported_parameter", param="best_of")
    if completion.echo:
        raise BadRequest("'echo' is not supported. Remove it.", code="unsupported_parameter", param="echo")
    if completion.suffix:
        raise BadRequest("'suffix' is not supported. Remove it.", code="unsupported_parameter", param="suffix")
    if completion.stream_options is not None:
        completion.stream_options.check(stream=completion.stream)
    completion.best_of = completion.echo = completion.suffix = completion.user = None
    if completion.max_tokens is None:
        completion.max_tokens = MAX_TOKENS_DEFAULT
    return completion
