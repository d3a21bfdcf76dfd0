"""Embeddings: one body from the engine, checked, and given in the encoding that the caller wants."""

import msgspec

from parvis.adapters.engines.refusals import broken
from parvis.adapters.engines.relay import prompt_estimate
from parvis.adapters.engines.whole import WholeAnswer
from parvis.core.errors import Failure
from parvis.core.tokens import TokenCount
from parvis.wire.answer_shapes import Vector, read_embeddings
from parvis.wire.embedding import EmbeddingBody, as_base64
from parvis.wire.usage import embedding_usage_json


class EmbeddingAnswer(WholeAnswer):
    """The answer to `POST /v1/embeddings`."""

    def _take(self, body: bytes) -> Failure | None:
        wanted = self._job.request.body
        assert isinstance(wanted, EmbeddingBody)  # noqa: S101 - the operation says so
        try:
            answer = read_embeddings(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return broken("The engine's answer makes no sense. Try again.")
        vectors = sorted(answer.data, key=lambda vector: vector.index)
        if [vector.index for vector in vectors] != list(range(len(wanted.inputs()))):
            return broken("The engine's answer lacks some of the embeddings. Try again.")
        delivery = self.delivery
        counted = answer.usage.tokens() if answer.usage else None
        delivery.estimated = counted is None
        delivery.tokens = counted or TokenCount(input=prompt_estimate(self._job))
        delivery.body = self._body(vectors, wanted, delivery.tokens)
        return None

    def _body(self, vectors: list[Vector], wanted: EmbeddingBody, tokens: TokenCount) -> bytes:
        encoded = wanted.encoding_format == "base64"
        data = [
            {
                "object": "embedding",
                "index": vector.index,
                "embedding": as_base64(vector.embedding) if encoded else vector.embedding,
            }
            for vector in vectors
        ]
        head = msgspec.json.encode({"object": "list", "data": data, "model": self._job.model.id})
        return head[:-1] + b',"usage":' + embedding_usage_json(tokens) + b"}"
