"""A long text in pieces that can be spoken one after another: sentences, and parts of those that are too long."""

import re
from collections.abc import Iterator

PIECE_CHARS_MAX = 300
"""A voice computes a piece in one go: so long it takes about two seconds of a core."""
DIGITS_MAX = 15
"""A longer number is read digit by digit."""
_SHORTENED = r"(?<!\b[A-Z]\.)(?<!\bDr\.)(?<!\bMr\.)(?<!\bMs\.)(?<!\bMrs\.)(?<!\bSt\.)(?<!\bvs\.)(?<!\bNo\.)"
_END = re.compile(rf"(?<=[.!?…])[\"')\]]*{_SHORTENED}\s+|\s*\n\s*")
_LONG_NUMBER = re.compile(rf"\d{{{DIGITS_MAX + 1},}}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def sentences(text: str) -> Iterator[str]:
    """In their order; none is empty or longer than PIECE_CHARS_MAX."""
    text = _LONG_NUMBER.sub(lambda found: " ".join(found[0]), _CONTROL.sub(" ", text))
    for sentence in _END.split(text):
        rest = sentence.strip()
        while len(rest) > PIECE_CHARS_MAX:
            cut = max(rest.rfind(sign, 0, PIECE_CHARS_MAX) for sign in (", ", "; ", ": "))
            cut = cut + 1 if cut > 0 else rest.rfind(" ", 0, PIECE_CHARS_MAX)
            cut = cut if cut > 0 else PIECE_CHARS_MAX
            yield rest[:cut]
            rest = rest[cut:].strip()
        if rest:
            yield rest
