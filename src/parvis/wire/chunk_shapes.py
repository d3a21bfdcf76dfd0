"""The shapes of streamed chunks: what is read of them. Apart from `chunks`, which is compiled, as structs cannot be."""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from parvis.core.tokens import TokenCount
from parvis.wire.usage import Usage


class Delta(Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[Raw] | None = None
    role: str | None = None


class ChunkChoice(Struct, gc=False):
    index: int = 0
    delta: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: Any = None


class Timings(Struct, gc=False):
    """llama.cpp's counts so far."""

    prompt_n: int = 0
    cache_n: int = 0
    predicted_n: int = 0

    def tokens(self, reasoning_seen: int) -> TokenCount:
        visible = max(self.predicted_n - reasoning_seen, 0)
        return TokenCount(self.prompt_n, self.cache_n, visible, self.predicted_n - visible)


class Chunk(Struct, gc=False):
    """One event of a stream, of either protocol."""

    choices: list[ChunkChoice] = []
    id: str = ""
    model: str = ""
    created: int = 0
    usage: Usage | None = None
    timings: Timings | None = None
    error: Any = None


class OddChunk(Struct, gc=False):
    """An event whose counts are no whole numbers: all the rest of it, and what it claims."""

    choices: list[ChunkChoice] = []
    id: str = ""
    model: str = ""
    created: int = 0
    usage: Raw = Raw(b"null")
    timings: Raw = Raw(b"null")
    error: Any = None

    def parts(self) -> tuple[Chunk, Raw]:
        """The event without its counts, and the counts."""
        chunk = Chunk(self.choices, self.id, self.model, self.created, None, None, self.error)
        return chunk, self.timings if bytes(self.usage) == b"null" else self.usage


def count_so_far(counted: "Chunk | Running", reasoning_seen: int) -> TokenCount | None:
    """The engine's count so far of a chunk's choice, if it gives one."""
    if counted.timings is not None:
        return counted.timings.tokens(reasoning_seen)
    return counted.usage.tokens(reasoning_seen) if counted.usage is not None else None


class Running(Struct, gc=False, forbid_unknown_fields=True):
    """The counts at the end of a chunk, apart from it."""

    usage: Usage | None = None
    timings: Timings | None = None


read_chunk = msgspec.json.Decoder(Chunk).decode
read_odd_chunk = msgspec.json.Decoder(OddChunk).decode
read_running = msgspec.json.Decoder(Running).decode
