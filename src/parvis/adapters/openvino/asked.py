"""What a request asks for: read strictly, refused by name where this engine cannot do it."""

from hashlib import blake2b
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from parvis.adapters.openvino.errors import Refused
from parvis.adapters.openvino.grammar import grammar_of

Shape = TypeVar("Shape")
_Share = Annotated[float, Meta(ge=0, le=1)]
_Penalty = Annotated[float, Meta(ge=-2, le=2)]
_Count = Annotated[int, Meta(ge=1, le=128)]
SALT_BITS = 40
"""So that a salt times the vocabulary, and a token's number with it, fits 63 bits."""
_ANY_OBJECT: dict[str, Any] = {"type": "object"}


class StreamOptions(Struct):
    """As in vLLM: counts in a last event, or in every one."""

    include_usage: bool = False
    continuous_usage_stats: bool | None = None


class Schema(Struct):
    """What an answer must be an instance of."""

    schema: dict[str, Any] | None = None


class ResponseFormat(Struct):
    """As OpenAI's protocol has it."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: Schema | None = None


class Asked(Struct, kw_only=True):
    """What chats and completions have in common."""

    model: str = ""
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    min_tokens: Annotated[int, Meta(ge=0)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: _Share | None = None
    top_k: Annotated[int, Meta(ge=-1)] | None = None
    min_p: _Share | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None
    n: _Count | None = None
    ignore_eos: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    grammar: str | None = None
    """EBNF, from whoever knows that it is one: a bad one breaks the batch that it is in."""
    response_format: ResponseFormat | None = None
    cache_salt: str = ""
    logit_bias: dict[str, float] | None = None
    repetition_penalty: float | None = None

    def check(self) -> None:
        """Settle what the answer must look like. Raises Refused for what would be passed over."""
        if self.logit_bias:
            raise _unsupported("logit_bias")
        if self.repetition_penalty not in {None, 1.0}:
            raise _unsupported("repetition_penalty")
        wanted = self.response_format
        if wanted is not None and wanted.type != "text" and self.grammar is None:
            schema = wanted.json_schema.schema if wanted.json_schema else None
            self.grammar = grammar_of(_ANY_OBJECT if schema is None else schema)

    @property
    def answers(self) -> int:
        """To each prompt."""
        return self.n or 1

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts at which the answer ends."""
        stop = self.stop or ()
        return tuple(filter(None, (stop,) if isinstance(stop, str) else stop))

    @property
    def salt(self) -> int:
        """0 where nobody is to be kept apart."""
        if not self.cache_salt:
            return 0
        return 1 + int.from_bytes(blake2b(self.cache_salt.encode(), digest_size=8).digest()) % ((1 << SALT_BITS) - 1)

    @property
    def wants_usage(self) -> bool:
        """In an event of its own, the last."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def wants_running_usage(self) -> bool:
        """In every event."""
        return self.stream_options is not None and bool(self.stream_options.continuous_usage_stats)


class ChatAsked(Asked, kw_only=True):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[dict[str, Any]], Meta(min_length=1)]
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[Any] | None = None

    def check(self) -> None:
        """See the base."""
        super().check()
        if self.top_logprobs:
            raise _unsupported("top_logprobs")
        if self.tools:
            raise _unsupported("tools")
        if self.max_tokens is None:
            self.max_tokens = self.max_completion_tokens


class CompletionAsked(Asked, kw_only=True):
    """`POST /v1/completions`."""

    prompt: str | list[str]
    logprobs: int | None = None
    echo: bool | None = None

    def check(self) -> None:
        """See the base."""
        super().check()
        if self.logprobs is not None:
            raise _unsupported("logprobs")
        if self.echo:
            raise _unsupported("echo")

    @property
    def prompts(self) -> list[str]:
        """At least one. Raises Refused."""
        prompts = [self.prompt] if isinstance(self.prompt, str) else self.prompt
        if not (prompts and all(prompts)):
            raise Refused("A prompt is empty. Give it a text.", param="prompt")
        return prompts


class TokensAsked(Struct):
    """`POST /tokenize`: a text, or a chat with its template."""

    prompt: str = ""
    messages: list[dict[str, Any]] | None = None


def read(body: bytes, shape: type[Shape]) -> Shape:
    """Raises Refused."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise Refused(f"The request does not fit: {error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused("The body is not JSON.", code="invalid_json") from error


def _unsupported(name: str) -> Refused:
    return Refused(f"'{name}' is not supported by this engine. Remove it.", param=name, code="unsupported_parameter")
