"""How fast a long prompt is read while answers are being written, and which beginnings of prompts are known already."""

from array import array
from collections.abc import Sequence
from hashlib import blake2b

BLOCK_TOKENS = 32
"""What OpenVINO's prefix cache keeps and finds again on a processor."""
KNOWN_BLOCKS_MAX = 1_024
"""About what the cache holds of a small model; one that is gone from it is only computed again."""
ALONE_TOKENS = 224
"""Of a step in which nobody writes."""
BESIDE_TOKENS = 5
"""Of a step beside many who write: it then takes about a tenth longer."""
FEW = 8
"""A step for one answer takes about as long as for so many more: beside few, there is time to read more."""


def allowance(writing: int) -> int:
    """The tokens of long prompts that one step may read, beside so many answers."""
    if writing == 0:
        return ALONE_TOKENS
    return min(ALONE_TOKENS, BESIDE_TOKENS * (writing + FEW) // writing)


class Known:
    """The beginnings, in whole blocks, of what was computed last."""

    def __init__(self, most: int = KNOWN_BLOCKS_MAX) -> None:
        self._most = most
        self._digests: dict[bytes, None] = {}
        """The last used are the last."""

    def length(self, tokens: Sequence[int]) -> int:
        """How many tokens at the beginning are known."""
        known = 0
        for digest in _digests(tokens):
            if digest not in self._digests:
                break
            known += BLOCK_TOKENS
        return known

    def add(self, tokens: Sequence[int]) -> None:
        """They have been computed just now."""
        for digest in _digests(tokens):
            self._digests.pop(digest, None)
            self._digests[digest] = None
        while len(self._digests) > self._most:
            del self._digests[next(iter(self._digests))]


def _digests(tokens: Sequence[int]) -> Sequence[bytes]:
    """Of each whole block with all that is before it."""
    digests, before = [], b""
    for end in range(BLOCK_TOKENS, len(tokens) + 1, BLOCK_TOKENS):
        block = array("q", tokens[end - BLOCK_TOKENS : end]).tobytes()
        before = blake2b(before + block, digest_size=16).digest()
        digests.append(before)
    return digests
