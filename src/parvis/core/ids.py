"""Identifiers: a prefix that says what it names, then 26 characters that sort by time.

The characters are Crockford's base 32 (no I, L, O, U), as in the ULID specification:
48 bits of milliseconds, then 80 random bits.
"""

import os
from collections.abc import Callable

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
TIME_CHARS = 10
RANDOM_CHARS = 16
_LETTERS = bytes(ord(ALPHABET[byte & 31]) for byte in range(256))
"""Five bits of a random byte as a letter, for `bytes.translate`."""
_POOL_BYTES = 4096

Randomness = Callable[[int], bytes]
"""`randomness(n)` gives n unpredictable bytes; `os.urandom` outside tests."""


class RandomPool:
    """`os.urandom`, asked for 4 kB at a time. Of one thread, and for ids: its bytes wait in memory."""

    def __init__(self) -> None:
        self._bytes = b""
        self._taken = 0

    def __call__(self, count: int) -> bytes:
        start, self._taken = self._taken, self._taken + count
        if self._taken > len(self._bytes):
            self._bytes = os.urandom(max(_POOL_BYTES, count))
            start, self._taken = 0, count
        return self._bytes[start : self._taken]


_last_time = (-1, "")


def new_id(prefix: str, unix_ms: int, randomness: Randomness = os.urandom) -> str:
    """Make `prefix_` + 26 characters; ids of later milliseconds sort later."""
    return f"{prefix}_{_time_text(unix_ms)}{randomness(RANDOM_CHARS).translate(_LETTERS).decode()}"


def _time_text(unix_ms: int) -> str:
    """48 bits in ten letters. The last one is remembered: many ids are made in the same millisecond."""
    global _last_time  # noqa: PLW0603 - a pure function's memory
    known_ms, text = _last_time
    if known_ms != unix_ms:
        text = "".join(ALPHABET[(unix_ms >> shift) & 31] for shift in range(5 * (TIME_CHARS - 1), -1, -5))
        _last_time = (unix_ms, text)
    return text
