"""The event that a stream is made of: a piece of text in surroundings that stay the same, known without reading JSON.

Learnt from an event that was read in full, it recognises the next one by its bytes: the same head, a text of plain
ASCII, the same tail, and perhaps running counts. Whatever differs is no plain event and is read in full, so nothing is
guessed. A JSON text cannot contain a key with its quotes and colon inside a string, so these are safe to look for.
"""

from typing import Final

import msgspec

from parvis.wire.chunk_shapes import Chunk, Running, read_running

_PLAIN = bytes(byte for byte in range(0x20, 0x7F) if byte not in b'"\\')
"""What stands for itself in a JSON string."""
LONG_BYTES: Final = 128
"""A text above this is looked at at once; one below, as most are, byte by byte, which is quicker when compiled."""
_CONTENT = b'"content":'
_COUNTS = (b',"usage":', b',"timings":', b', "usage":', b', "timings":')
_END: Final = b"}\n\n"
_SPACE: Final = 0x20
_TILDE: Final = 0x7E
_QUOTE: Final = 0x22
_BACKSLASH: Final = 0x5C


class PlainEvent:
    """What the plain events of one stream have in common. `running` and `text` are of the last recognised one."""

    __slots__ = ("_end", "_end_size", "_head", "_new_head", "_new_tail", "_start", "_tail", "running", "text")

    def __init__(self, head: bytes, tail: bytes, new_head: bytes, new_tail: bytes) -> None:
        self._head = head
        self._start = len(head)
        self._tail = tail
        self._end = tail + _END
        self._end_size = len(self._end)
        self._new_head = new_head
        self._new_tail = new_tail
        self.running: Running | None = None
        self.text = b""

    def apply(self, event: bytes) -> bytes:
        """The client's bytes of a whole event of the engine's, its blank line included; empty when it is not plain."""
        start = self._start
        if event[:start] != self._head:
            return b""
        end = len(event) - self._end_size
        if event[end:] == self._end:
            running = None
        else:
            end = event.find(b'"', start)
            running = self._running_counts(event, end)
            if running is None:
                return b""
        text = event[start:end]
        if not is_plain(text):
            return b""
        self.running = running
        self.text = text
        return self._new_head + text + self._new_tail

    def _running_counts(self, event: bytes, end: int) -> Running | None:
        """What the engine has counted so far, if nothing but that is between its text and the end of the event."""
        if not event.startswith(self._tail, end):
            return None
        counts = event[end + len(self._tail) :]
        if not (counts.startswith(_COUNTS) and counts.endswith(_END)):
            return None
        try:
            return read_running(b"{" + counts[1:])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None


def is_plain(text: bytes) -> bool:
    """Whether there is a text, and all of it stands for itself in a JSON string: ASCII without escapes."""
    if len(text) > LONG_BYTES:
        return not text.translate(None, _PLAIN)
    for byte in text:
        # Compared one by one, since a tuple would be asked with objects.
        if byte < _SPACE or byte > _TILDE or byte == _QUOTE or byte == _BACKSLASH:  # noqa: PLR1714, SIM109 - see above
            return False
    return text != b""


def learn(chunk: Chunk, event: bytes, new_event: bytes) -> PlainEvent | None:
    """The surroundings of this event's text, if it has nothing else; `new_event` is what the client got for it."""
    text = _only_text(chunk)
    if not is_plain(text):
        return None
    cut, new_cut = _around(event, text), _around(new_event, text)
    if cut is None or new_cut is None:
        return None
    head, rest = cut
    counts = [place for name in _COUNTS if (place := rest.find(name)) >= 0]
    return PlainEvent(head, rest[: min(counts, default=len(rest) - len(_END))], *new_cut)


def _only_text(chunk: Chunk) -> bytes:
    """The text of an event that brings one choice a piece of text, and nothing else that anybody counts or looks at."""
    choices = chunk.choices
    if len(choices) != 1:
        return b""
    choice = choices[0]
    delta = choice.delta
    if delta is None or choice.index or choice.finish_reason is not None or choice.logprobs is not None or choice.text:
        return b""
    if delta.role or delta.tool_calls or delta.reasoning_content or delta.reasoning:
        return b""
    return (delta.content or "").encode()


def _around(event: bytes, text: bytes) -> tuple[bytes, bytes] | None:
    """What stands before the text and behind it; None where that is not certain."""
    start = event.find(b'"', event.find(_CONTENT) + len(_CONTENT)) + 1
    end = start + len(text)
    if (
        event.count(_CONTENT) != 1
        or event[start : end + 1] != text + b'"'
        or event.find(_END) != len(event) - len(_END)
    ):
        return None
    return event[:start], event[end:]
