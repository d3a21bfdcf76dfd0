"""What customers read, as types: for the description of the protocol alone. Answers themselves pass as bytes.

Source: OpenAI's API reference. Engines may put more into an answer than stands here.
"""

from typing import Any, Literal

from msgspec import Struct


class Problem(Struct, forbid_unknown_fields=True):
    """Why not: a sentence, and a code for programs."""

    message: str
    type: Literal[
        "invalid_request_error",
        "permission_error",
        "insufficient_quota",
        "rate_limit_error",
        "server_error",
        "service_unavailable_error",
    ]
    param: str | None
    code: str | None


class ProblemBody(Struct, forbid_unknown_fields=True):
    """Every refusal."""

    error: Problem


class CachedTokens(Struct):
    cached_tokens: int


class ReasoningTokens(Struct):
    reasoning_tokens: int


class BilledUsage(Struct):
    """The numbers that are billed."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens
    completion_tokens_details: ReasoningTokens


class Duration(Struct):
    """Started seconds."""

    type: Literal["duration"]
    seconds: int


class Heard(Struct):
    """What was said; `verbose_json` has the rest too."""

    text: str
    usage: Duration
    task: Literal["transcribe", "translate"] | None = None
    language: str | None = None
    duration: float | None = None
    segments: list[dict[str, Any]] | None = None
    words: list[dict[str, Any]] | None = None


class AnswerMessage(Struct):
    role: Literal["assistant"]
    content: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class ChatChoice(Struct):
    index: int
    message: AnswerMessage
    finish_reason: str | None
    logprobs: dict[str, Any] | None = None


class ChatAnswer(Struct):
    """A whole answer to a chat."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: BilledUsage


class CompletionChoice(Struct):
    index: int
    text: str
    finish_reason: str | None
    logprobs: dict[str, Any] | None = None


class CompletionAnswer(Struct):
    """A whole completion."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: BilledUsage


class EmbeddingVector(Struct):
    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(Struct):
    prompt_tokens: int
    total_tokens: int


class EmbeddingAnswer(Struct):
    """One vector for each text: numbers, or little-endian 32-bit floats in base64."""

    object: Literal["list"]
    data: list[EmbeddingVector]
    model: str
    usage: EmbeddingUsage


class RankedDocument(Struct):
    text: str


class RankedResult(Struct):
    """A document, by its place in the request."""

    index: int
    relevance_score: float
    document: RankedDocument | None = None


class RerankVersion(Struct):
    version: str


class RerankTokens(Struct):
    input_tokens: int


class RerankMeta(Struct):
    """What Cohere's clients read."""

    api_version: RerankVersion
    tokens: RerankTokens


class RerankAnswer(Struct):
    """The best documents first. By `embedding-cosine`, scores are -1 to 1; a `reranker` has a scale of its own."""

    id: str
    object: Literal["list"]
    model: str
    method: Literal["reranker", "embedding-cosine"]
    results: list[RankedResult]
    meta: RerankMeta
    usage: EmbeddingUsage


class ModelCard(Struct):
    """A model, as the catalogue knows it."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    context_length: int
    capabilities: list[str]
    rerank: Literal["reranker", "embedding-cosine"] | None
    """How it orders documents, if it can."""
    aliases: list[str]
    state: str
    track: str
    licence: str | None
    languages: list[str]
    tags: list[str]
    end_of_support_on: str | None
    successor: str | None
    card_url: str | None


class ModelPage(Struct):
    """The models that a key may use."""

    object: Literal["list"]
    data: list[ModelCard]
    has_more: bool
    first_id: str | None
    last_id: str | None
