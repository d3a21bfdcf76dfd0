"""The frame that HTTP/1.1 puts around one chunk of a body: its size in hexadecimal before it, line ends around it.

Events are small chunks, and many. The frames of small ones are looked up by their size and not computed.
"""

from typing import Final

SMALL_BYTES: Final = 2_048
"""Of the chunks, and of reads with a chunk in them, whose frames are looked up."""
SIZE_CHARS_MAX: Final = 10
_LINES: Final = [b"%x\r\n" % size for size in range(SMALL_BYTES)]
"""What stands before a chunk of each size."""
_OPENINGS: Final = [b""] * SMALL_BYTES
"""What a read of each size begins with if it is one chunk in its frame; empty where none is of that size."""
for _size, _line in enumerate(_LINES):
    if _size > 0 and _size + len(_line) + 2 < SMALL_BYTES:
        _OPENINGS[_size + len(_line) + 2] = _line
_LINE_FEED: Final = 10
_RETURN: Final = 13


def framed(data: bytes) -> bytes:
    """This as one chunk. It must not be empty: that would be the end of the body."""
    size = len(data)
    if size < SMALL_BYTES:
        return _LINES[size] + data + b"\r\n"
    return b"%x\r\n%b\r\n" % (size, data)


def one_chunk(read: bytes) -> bytes:
    """What is in a read that is exactly one chunk, written in the usual way; else nothing."""
    size = len(read)
    if size >= SMALL_BYTES:
        return _large_chunk(read)
    opening = _OPENINGS[size]
    start = len(opening)
    if start == 0 or read[size - 1] != _LINE_FEED or read[size - 2] != _RETURN or read[:start] != opening:
        return b""
    return read[start : size - 2]


def _large_chunk(read: bytes) -> bytes:
    start = read.find(b"\r\n", 1, SIZE_CHARS_MAX) + 2
    size = len(read) - start - 2
    if start < 2 or size <= 0 or not read.endswith(b"\r\n") or read[: start - 2] != b"%x" % size:  # noqa: PLR2004 - CRLF
        return b""
    return read[start:-2]
