"""Identifiers: a prefix that says what it names, then 26 characters that sort by time.

The characters are Crockford's base 32 (no I, L, O, U), as in the ULID specification:
48 bits of milliseconds, then 80 random bits.
"""

import os
from collections.abc import Callable

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [a + b for a in ALPHABET for b in ALPHABET]

Randomness = Callable[[int], bytes]
"""`randomness(n)` gives n unpredictable bytes; `os.urandom` outside tests."""


def new_id(prefix: str, unix_ms: int, randomness: Randomness = os.urandom) -> str:
    """Make `prefix_` + 26 characters; ids of later milliseconds sort later."""
    number = (unix_ms << 80) | int.from_bytes(randomness(10))
    pairs = _PAIRS
    return f"{prefix}_" + "".join([pairs[(number >> shift) & 1023] for shift in range(120, -1, -10)])
