"""Reranking: by an engine that has a page for it, or by the cosine of embeddings. The answer says which."""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from parvis.adapters.engines.embeddings import EmbeddingAnswer
from parvis.adapters.engines.own_count import BYTES_PER_TOKEN, Count, Said, ceiling_of, within
from parvis.adapters.engines.refusals import broken
from parvis.adapters.engines.upstream import UpstreamConnection
from parvis.adapters.engines.whole import WholeAnswer
from parvis.core.errors import BadRequest, Failure
from parvis.core.tokens import TokenCount
from parvis.domain.catalog.ranking import Direction, RankingMethod, best, ranking_method
from parvis.domain.metering.records import Outcome
from parvis.flows.ports import Delivery, Job, Sink
from parvis.wire.embedding import EmbeddingBody
from parvis.wire.ranked import answer_json, by_document, read_scores, read_usage
from parvis.wire.rerank import Ranking
from parvis.wire.usage import claim_text

TEXTS_AT_ONCE = 64
"""Of one question for embeddings: their numbers are read and compared in 2 ms, during which nobody else has a turn."""
_EMBEDDINGS_PAGE: Final = b"/v1/embeddings"
_RERANKER: Final = RankingMethod.RERANKER
_COSINE: Final = RankingMethod.COSINE
_COMPLETED: Final = Outcome.COMPLETED


def page_of(job: Job) -> bytes:
    """The page of the engine for this part of a reranking; empty where embeddings are to be compared, by `by_cosine`.

    Raises BadRequest when neither is possible.
    """
    if isinstance(job.request.body, EmbeddingBody):
        return _EMBEDDINGS_PAGE
    page = job.profile.rerank
    method = ranking_method(job.model.capabilities, has_page=bool(page))
    if method is not None:
        return page.encode() if method is _RERANKER else b""
    raise BadRequest(
        f"The engine of '{job.model.id}' cannot rerank. Use another model; GET /v1/models lists yours.",
        code="unsupported_parameter",
        param="model",
    )


class RerankAnswer(WholeAnswer):
    """The answer of an engine that reranks."""

    _scores: list[float]

    def _take(self, body: bytes) -> Failure | None:
        asked = ranking_of(self._job)
        try:
            told = read_scores(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return broken("The engine's answer makes no sense. Try again.")
        scores = by_document(told, len(asked.documents))
        if scores is None:
            return broken("The engine's answer lacks the scores of some documents. Try again.")
        self._scores = scores
        try:
            counted = self._believe(read_usage(told), 0)
        except msgspec.ValidationError:
            self.delivery.quarantined, counted = claim_text("contradiction", told.usage), None
        self.delivery.estimated = counted is None
        self._give(self._estimate(Said((), (), 0)) if counted is None else counted)
        return None

    def _estimate(self, said: Said) -> TokenCount:  # noqa: ARG002 - the shape of its parent's
        read = ranking_of(self._job).read_bytes // BYTES_PER_TOKEN
        return within(ceiling_of(self._job), TokenCount(input=read))

    def _give(self, tokens: TokenCount) -> None:
        self.delivery.tokens = tokens
        self.delivery.quantities = self._job.request.quantities
        self.delivery.body = _told(self._job, self._scores, _RERANKER, tokens)


class VectorsAnswer(EmbeddingAnswer):
    """Embeddings for ourselves: nobody else reads them."""

    def numbers(self) -> list[list[float]]:
        """In the order of the texts."""
        return [vector.embedding for vector in self._vectors]

    def _give(self, tokens: TokenCount) -> None:
        self.delivery.tokens = tokens


def receiver_of(job: Job, connection: UpstreamConnection, count: Count) -> RerankAnswer | VectorsAnswer:
    """Who reads what comes from `page_of` this job."""
    if isinstance(job.request.body, EmbeddingBody):
        return VectorsAnswer(job, connection, count)
    return RerankAnswer(job, connection, count)


class CosineAnswer:
    """The `Answer` that was made of embeddings. All of it is there from the beginning."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery

    async def done(self) -> Delivery:
        return self.delivery


async def by_cosine(ask: Callable[[Job, Sink], Awaitable[VectorsAnswer]], job: Job, sink: Sink) -> CosineAnswer:
    """Let one replica embed query and documents, some at a time, and compare them. Raises what `Engine.start` raises.

    A client that leaves, or a gateway that ends, stops what runs and what would have come.
    """
    texts = list(job.request.body.texts())
    delivery, query = Delivery(), Direction(())
    scores: list[float] = []
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        answer = await ask(_embedding_job(job, texts[start : start + TEXTS_AT_ONCE]), sink)
        part = await answer.done()
        if part.outcome is not _COMPLETED:
            return CosineAnswer(Delivery(outcome=part.outcome))
        vectors = answer.numbers()
        if start == 0:
            query = Direction(vectors.pop(0))
        try:
            scores += map(query.cosine, vectors)
        except ValueError:
            raise broken("The engine's embeddings differ in length. Try again.") from None
        _add(delivery, part)
    delivery.quantities = job.request.quantities
    delivery.body = _told(job, scores, _COSINE, delivery.tokens)
    return CosineAnswer(delivery)


def ranking_of(job: Job) -> Ranking:
    """What is to be ranked."""
    body = job.request.body
    assert isinstance(body, Ranking)  # noqa: S101 - the operation says so
    return body


def _told(job: Job, scores: list[float], method: RankingMethod, tokens: TokenCount) -> bytes:
    asked = ranking_of(job)
    number = "rerank-" + job.request.request_id.removeprefix("req_")
    ranked = best(scores, asked.top_n)
    return answer_json(asked, ranked, request_id=number, model=job.model.id, method=method, tokens=tokens)


def _embedding_job(job: Job, texts: list[str]) -> Job:
    """One question for embeddings of these, of the same request."""
    body = EmbeddingBody(model=job.model.id, input=texts)
    request = job.request.part(body, len(texts), sum(len(text.encode()) for text in texts))
    return msgspec.structs.replace(job, request=request)


def _add(whole: Delivery, part: Delivery) -> None:
    whole.tokens = TokenCount(*[one + more for one, more in zip(whole.tokens, part.tokens, strict=True)])
    whole.estimated |= part.estimated
    whole.quarantined = whole.quarantined or part.quarantined
