"""Embeddings: one body from the engine, checked, and given in the encoding that the caller wants."""

import msgspec

from parvis.adapters.engines.own_count import Said, prompt_estimate
from parvis.adapters.engines.refusals import broken
from parvis.adapters.engines.whole import WholeAnswer
from parvis.core.errors import Failure
from parvis.core.tokens import TokenCount
from parvis.wire.answer_shapes import EmbeddingsBody, Vector, read_embeddings, read_odd_embeddings
from parvis.wire.embedding import EmbeddingBody, as_base64
from parvis.wire.usage import claim_text, embedding_usage_json


class EmbeddingAnswer(WholeAnswer):
    """The answer to `POST /v1/embeddings`."""

    _vectors: list[Vector]

    def _take(self, body: bytes) -> Failure | None:
        try:
            answer = self._read_vectors(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return broken("The engine's answer makes no sense. Try again.")
        self._vectors = sorted(answer.data, key=lambda vector: vector.index)
        if [vector.index for vector in self._vectors] != list(range(len(self._wanted.inputs()))):
            return broken("The engine's answer lacks some of the embeddings. Try again.")
        counted = self._believe(answer.usage, 0)
        if counted is None:
            self._open = Said((), (), 0)
        else:
            self._give(counted)
        return None

    def _read_vectors(self, body: bytes) -> EmbeddingsBody:
        try:
            return read_embeddings(body)
        except msgspec.ValidationError:
            odd = read_odd_embeddings(body)
            self.delivery.quarantined = claim_text("contradiction", odd.usage)
            return EmbeddingsBody(odd.data)

    @property
    def _wanted(self) -> EmbeddingBody:
        body = self._job.request.body
        assert isinstance(body, EmbeddingBody)  # noqa: S101 - the operation says so
        return body

    def _estimate(self, said: Said) -> TokenCount:  # noqa: ARG002 - the shape of its parent's
        return TokenCount(input=prompt_estimate(self._job))

    def _give(self, tokens: TokenCount) -> None:
        self.delivery.tokens = tokens
        self.delivery.body = self._body(self._vectors, self._wanted, tokens)

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
