"""The event that a stream is made of: a piece of text in surroundings that stay the same, known without reading JSON.

Learnt from an event that was read in full, it recognises the next one by its bytes: the same head, a text of plain
ASCII, the same tail, and perhaps running counts. Whatever differs is no plain event and is read in full, so nothing is
guessed. A JSON text cannot contain a key with its quotes and colon inside a string, so these are safe to look for.
"""

import msgspec

from parvis.wire.chunk_shapes import Chunk, Running, read_running

_PLAIN = bytes(byte for byte in range(0x20, 0x7F) if byte not in b'"\\')
"""What stands for itself in a JSON string."""
_CONTENT = b'"content":'
_COUNTS = (b',"usage":', b',"timings":', b', "usage":', b', "timings":')
_END = b"}\n\n"


class PlainEvent:
    """What the plain events of one stream have in common. `running` and `text` are of the last recognised one."""

    __slots__ = ("_head", "_new_head", "_new_tail", "_start", "_tail", "_tail_size", "running", "text")

    def __init__(self, head: bytes, tail: bytes, new_head: bytes, new_tail: bytes) -> None:
        self._head = head
        self._start = len(head)
        self._tail = tail
        self._tail_size = len(tail)
        self._new_head = new_head
        self._new_tail = new_tail
        self.running: Running | None = None
        self.text = b""

    def apply(self, event: bytes) -> bytes:
        """The client's bytes of a whole event of the engine's, its blank line included; empty when it is not plain."""
        if not event.startswith(self._head):
            return b""
        end = event.find(b'"', self._start)
        text = event[self._start : end]
        if not text or text.translate(None, _PLAIN) or not event.startswith(self._tail, end):
            return b""
        counts = event[end + self._tail_size :]
        if counts == _END:
            self.running = None
        elif counts.startswith(_COUNTS) and counts.endswith(_END):
            try:
                self.running = read_running(b"{" + counts[1:])
            except (msgspec.DecodeError, UnicodeDecodeError):
                return b""
        else:
            return b""
        self.text = text
        return b"%b%b%b" % (self._new_head, text, self._new_tail)


def learn(chunk: Chunk, event: bytes, new_event: bytes) -> PlainEvent | None:
    """The surroundings of this event's text, if it has nothing else; `new_event` is what the client got for it."""
    text = _only_text(chunk)
    if not text or text.translate(None, _PLAIN):
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
