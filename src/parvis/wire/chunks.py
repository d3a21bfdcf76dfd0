"""Streamed chunks of the OpenAI protocol: what must be read of them, and how their bytes are changed in place.

A chunk passes as the engine wrote it, but for a prefix that is learnt once (id, model) and for `usage`. A JSON text
cannot contain the bytes `"usage":` inside a string (the quotes would be escaped), so they are safe to look for.
"""

import re

import msgspec

from parvis.core.tokens import TokenCount
from parvis.wire.chunk_shapes import Chunk, ChunkChoice
from parvis.wire.usage import usage_json

_FIELD = rb'"(?:usage|timings)":\s*(?:null|\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})'
_EXTRA = re.compile(rb"(?<=\{)(?:\s*%b\s*,?)+|,\s*%b" % (_FIELD, _FIELD))


def has_text(choice: ChunkChoice) -> bool:
    """Whether the choice got visible text or a part of a tool call."""
    delta = choice.delta
    return bool(choice.text) or (delta is not None and bool(delta.content or delta.tool_calls))


def is_reasoning(choice: ChunkChoice) -> bool:
    """Whether the choice got reasoning, under either of its names."""
    delta = choice.delta
    return delta is not None and bool(delta.reasoning_content or delta.reasoning)


class Splice:
    """The constant parts of one stream that must change, learnt from its first chunk."""

    __slots__ = ("_created", "_pairs", "_usage_null")

    def __init__(self, first: Chunk, payload: bytes, wanted_id: str, wanted_model: str, *, usage_null: bool) -> None:
        pairs = [
            pair
            for name, found, wanted in (("id", first.id, wanted_id), ("model", first.model, wanted_model))
            if found != wanted and (pair := _pair(name, found, wanted, payload))
        ]
        self._pairs = tuple(pairs)
        self._created = first.created
        self._usage_null = usage_null

    def apply(self, chunk: Chunk, payload: bytes) -> bytes:
        for old, new in self._pairs:
            payload = payload.replace(old, new, 1)
        if chunk.created != self._created and (pair := _pair("created", chunk.created, self._created, payload)):
            payload = payload.replace(*pair, 1)
        if b'"usage":' in payload or b'"timings":' in payload:
            payload = _EXTRA.sub(b"", payload)
        if chunk.choices and chunk.choices[0].finish_reason == "":  # TGI's word for none yet
            payload = payload.replace(b'"finish_reason":""', b'"finish_reason":null')
        return b'{"usage":null,' + payload[1:] if self._usage_null else payload


def usage_event(wanted_id: str, kind: str, created: int, model: str, tokens: TokenCount) -> bytes:
    """The event that a caller gets who asked for usage: the numbers that are billed."""
    head = msgspec.json.encode({"id": wanted_id, "object": kind, "created": created, "model": model, "choices": []})
    return b"data: %b,%b}\n\n" % (head[:-1], b'"usage":' + usage_json(tokens))


def _pair(name: str, found: str | int, wanted: str | int, payload: bytes) -> tuple[bytes, bytes] | None:
    new = msgspec.json.encode(wanted)
    for gap in (b"", b" "):
        old = b'"%b":%b%b' % (name.encode(), gap, msgspec.json.encode(found))
        if old in payload:
            return old, b'"%b":%b' % (name.encode(), new)
    return None
