"""`POST /v1/embeddings`. Source: OpenAI's API reference; openai-python asks for base64 unless told otherwise."""

import base64
import struct
from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from parvis.wire.chat_shapes import ModelName
from parvis.wire.validation import decode

INPUTS_MAX = 256

Text = Annotated[str, Meta(min_length=1)]


class EmbeddingBody(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The whole request."""

    model: ModelName
    input: Text | Annotated[list[Text], Meta(min_length=1, max_length=INPUTS_MAX)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    user: str | None = None

    def texts(self) -> Iterator[str]:
        yield from self.inputs()

    def inputs(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


_decoder = msgspec.json.Decoder(EmbeddingBody)


def read_embedding(body: bytes) -> EmbeddingBody:
    """Decode and check what types alone cannot. Raises BadRequest."""
    embedding = decode(_decoder, body)
    embedding.user = None
    return embedding


def as_base64(vector: list[float]) -> str:
    """Little-endian 32-bit floats, base64: what `encoding_format: base64` means."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
