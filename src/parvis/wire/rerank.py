"""`POST /v1/rerank` and `/v2/rerank`: the shapes of Jina and of Cohere, read by one reader.

Sources: Jina's reference of its reranker; Cohere's of both versions of its API, and the types of its Python client.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from parvis.wire.chat_shapes import ModelName
from parvis.wire.validation import decode

DOCUMENTS_MAX = 1_000
BYTES_PER_TOKEN = 4
"""By which `max_tokens_per_doc` is understood: nobody's tokenizer is asked where to cut."""

Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class Document(Struct, forbid_unknown_fields=True):
    """A document in the form of an object."""

    text: Text


class RerankBody(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The whole request, of either version."""

    model: ModelName
    query: Text
    documents: Annotated[list[Text | Document], Meta(min_length=1, max_length=DOCUMENTS_MAX)]
    top_n: Count | None = None
    return_documents: bool | None = None
    max_tokens_per_doc: Count | None = None
    max_chunks_per_doc: Literal[1] | None = None
    rank_fields: Annotated[list[Literal["text"]], Meta(min_length=1, max_length=1)] | None = None
    priority: Annotated[int, Meta(ge=0, le=999)] | None = None
    user: str | None = None


class Ranking(Struct):
    """What is wanted, whoever's client asked."""

    model: str
    query: str
    documents: list[str]
    """As they came: an answer may repeat them."""
    read: list[str]
    """What a model is given of each."""
    top_n: int | None
    repeat: bool
    """Each result has its document in it."""
    version: int
    """Of the path."""

    def texts(self) -> Iterator[str]:
        yield self.query
        yield from self.read

    @property
    def read_bytes(self) -> int:
        """UTF-8 bytes of all that a model reads if it reads the query with each document; to embed them is no more."""
        documents = sum(len(text.encode()) for text in self.read)
        return documents + len(self.read) * len(self.query.encode())


_decoder = msgspec.json.Decoder(RerankBody)


def read_rerank_v1(body: bytes) -> Ranking:
    """Jina's request, or Cohere's first. Documents are repeated unless that is not wanted. Raises BadRequest."""
    return _ranking(decode(_decoder, body), version=1)


def read_rerank_v2(body: bytes) -> Ranking:
    """Cohere's second. Documents are repeated only where that is wanted. Raises BadRequest."""
    return _ranking(decode(_decoder, body), version=2)


def _ranking(asked: RerankBody, version: int) -> Ranking:
    documents = [one.text if isinstance(one, Document) else one for one in asked.documents]
    repeat = version == 1 if asked.return_documents is None else asked.return_documents
    read = [_cut(text, asked.max_tokens_per_doc) for text in documents]
    return Ranking(asked.model, asked.query, documents, read, asked.top_n, repeat, version)


def _cut(text: str, tokens_max: int | None) -> str:
    """The beginning of a document: whole characters, one at least, since none has more than four bytes."""
    if tokens_max is None or len(text) <= tokens_max:
        return text
    return text.encode()[: tokens_max * BYTES_PER_TOKEN].decode(errors="ignore")
