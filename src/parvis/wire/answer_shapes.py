"""The shapes of a whole answer: what is read of it, either protocol's. Structs apart, since they are not compiled."""

import msgspec
from msgspec import Raw, Struct

from parvis.wire.usage import Usage


class WholeAnswerBody(Struct):
    """The top of it; `choices` pass as the engine wrote them."""

    choices: Raw
    created: int = 0
    usage: Usage | None = None


class OddAnswerBody(Struct):
    """The top of an answer whose counts are no whole numbers."""

    choices: Raw
    created: int = 0
    usage: Raw = Raw(b"null")


class Message(Struct):
    """The answer of one choice."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: Raw = Raw(b"")


class Choice(Struct):
    """One choice; `text` is the completion protocol's."""

    message: Message | None = None
    text: str | None = None


class Vector(Struct):
    """The embedding of one input."""

    embedding: list[float]
    index: int


class EmbeddingsBody(Struct):
    """All of them."""

    data: list[Vector]
    usage: Usage | None = None


class OddEmbeddingsBody(Struct):
    """All of them, beside counts that are no whole numbers."""

    data: list[Vector]
    usage: Raw = Raw(b"null")


read_answer = msgspec.json.Decoder(WholeAnswerBody).decode
read_odd_answer = msgspec.json.Decoder(OddAnswerBody).decode
read_choices = msgspec.json.Decoder(list[Choice]).decode
read_embeddings = msgspec.json.Decoder(EmbeddingsBody).decode
read_odd_embeddings = msgspec.json.Decoder(OddEmbeddingsBody).decode
