"""What becomes of a ranking: the scores as engines tell them, and the answer as customers read it.

Sources: vLLM's `RerankResponse` and llama.cpp's `format_response_rerank` (both in Jina's shape, the latter without
documents), SGLang's `RerankResponse` (a list, its counts in `meta_info`), TEI's page (a list without counts).
"""

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from parvis.core.tokens import TokenCount
from parvis.wire.rerank import Ranking
from parvis.wire.usage import Usage, embedding_usage_json


class MetaInfo(Struct):
    """SGLang's facts about one pair of query and document."""

    prompt_tokens: int = 0


class Score(Struct):
    """Of one document, under either name."""

    index: int
    relevance_score: float | None = None
    score: float | None = None
    meta_info: MetaInfo | None = None

    @property
    def told(self) -> float | None:
        return self.score if self.relevance_score is None else self.relevance_score


class Scores(Struct):
    """All of them, in any order."""

    results: list[Score]
    usage: Raw = Raw(b"null")


_decode = msgspec.json.Decoder(Scores | list[Score]).decode
_decode_usage = msgspec.json.Decoder(Usage | None).decode


def read_scores(body: bytes) -> Scores:
    """An engine's answer in one of the shapes above. Raises msgspec.DecodeError, UnicodeDecodeError."""
    told = _decode(body)
    return told if isinstance(told, Scores) else Scores(told)


def read_usage(scores: Scores) -> Usage | None:
    """What the engine counted, if it told. Raises msgspec.ValidationError for what are no whole numbers."""
    usage: Usage | None = _decode_usage(scores.usage)
    if usage is not None:
        usage.prompt_tokens = usage.prompt_tokens or usage.total_tokens  # older ones tell the total alone
        return usage
    counted = sum(one.meta_info.prompt_tokens for one in scores.results if one.meta_info is not None)
    return Usage(prompt_tokens=counted) if counted else None


def by_document(scores: Scores, count: int) -> list[float] | None:
    """The score of each document, in the order of the request; None where that of one is missing."""
    told = {one.index: one.told for one in scores.results}
    found = [told.get(index) for index in range(count)]
    known = [score for score in found if score is not None]
    return known if len(known) == count == len(scores.results) else None


def engine_json(asked: Ranking, engine_model: str) -> bytes:
    """The body for an engine: it scores all, and we choose."""
    return msgspec.json.encode(
        {"model": engine_model, "query": asked.query, "documents": asked.read, "return_documents": False}
    )


def answer_json(
    asked: Ranking, best: Sequence[tuple[int, float]], *, request_id: str, model: str, method: str, tokens: TokenCount
) -> bytes:
    """One body for all clients: Jina's read `usage`, Cohere's `id` and `meta`."""
    results = [
        {"index": index, "relevance_score": score}
        | ({"document": {"text": asked.documents[index]}} if asked.repeat else {})
        for index, score in best
    ]
    told = {"id": request_id, "object": "list", "model": model, "method": method, "results": results}
    meta = {"api_version": {"version": str(asked.version)}, "tokens": {"input_tokens": tokens.prompt_total}}
    head = msgspec.json.encode(told | {"meta": meta})
    return head[:-1] + b',"usage":' + embedding_usage_json(tokens) + b"}"
