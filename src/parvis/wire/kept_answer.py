"""An answer as it is kept for who sends the same request again: msgpack."""

import msgspec
from msgspec import Struct


class KeptAnswer(Struct, frozen=True, array_like=True):
    """The answer of a request that is served once."""

    request_id: str
    """Of the request that was served, and billed."""
    stream: bool
    body: bytes
    """The whole answer; of a stream, its events without `[DONE]`."""
    content_type: bytes = b""
    """Of what is no JSON."""


write_kept = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(KeptAnswer)


def read_kept(answer: bytes) -> KeptAnswer:
    """What `write_kept` wrote."""
    return _decoder.decode(answer)
