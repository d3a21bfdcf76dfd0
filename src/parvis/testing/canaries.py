"""Texts that must not come out again, and the search for them in whatever came out.

    birds = Canaries()
    prompt = birds.new("a prompt")
    assert birds.find("the log", log_bytes) == []

All canaries of one instance begin with the same random marker, so that one search finds each of them. What somebody
else made (a key, a password) is watched as it is. Everything is looked for as it stands and in the forms that programs
make of a text before they write it down.
"""

import base64
import re
import secrets
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from parvis.core.ids import ALPHABET

MARKER_CHARS = 12
"""55 random bits: it does not stand anywhere by accident."""
OWN_CHARS = 12
WATCHED_BYTES_MIN = 8
_HITS_MAX = 20
"""Told of one form in one place; more of the same tell nothing new."""


class Hit(NamedTuple):
    """One canary that came out."""

    place: str
    form: str
    """How it was written there."""
    origin: str
    """The way on which it was sent in; the marker alone does not tell it where it is not written plainly."""


class Canaries:
    """A flock with one marker, and secrets that are watched beside it."""

    def __init__(self) -> None:
        self.marker = "q" + _random(MARKER_CHARS - 1)
        self._origins: dict[str, str] = {}
        self._needles = [("", form, needle) for form, needle in forms(self.marker.encode())]
        self._watched = 0

    def __len__(self) -> int:
        return len(self._origins) + self._watched

    @property
    def forms(self) -> int:
        """In how many forms each is looked for."""
        return len({form for _, form, _ in self._needles})

    def new(self, origin: str) -> str:
        """A text of 24 small letters and digits, the marker first. It may be part of a key or of a name."""
        text = self.marker + _random(OWN_CHARS)
        self._origins[text] = origin
        return text

    def watch(self, secret: str | bytes, origin: str) -> None:
        """Look for this too. Raises ValueError when it is so short that it could stand anywhere by accident."""
        data = secret.encode() if isinstance(secret, str) else secret
        if len(data) < WATCHED_BYTES_MIN:
            raise ValueError(f"{origin}: at least {WATCHED_BYTES_MIN} bytes can be watched")
        self._needles += [(origin, form, needle) for form, needle in forms(data)]
        self._watched += 1

    def find(self, place: str, data: bytes) -> list[Hit]:
        """Every canary and secret in these bytes."""
        folded = data.lower()
        found: dict[Hit, None] = {}
        for origin, form, needle in self._needles:
            where = data if form in CASE_MATTERS else folded
            for start in _occurrences(where, needle):
                found[Hit(place, form, origin or self._origin(form, folded, start))] = None
        return list(found)

    def find_all(self, places: Iterable[tuple[str, bytes]]) -> tuple[list[Hit], int]:
        """The hits in all these places, and how many bytes were searched."""
        hits: list[Hit] = []
        size = 0
        for place, data in places:
            hits += self.find(place, data)
            size += len(data)
        return hits, size

    def _origin(self, form: str, folded: bytes, start: int) -> str:
        text = folded[start : start + MARKER_CHARS + OWN_CHARS].decode("latin-1") if form == "as it is" else ""
        return self._origins.get(text, "a canary")


CASE_MATTERS = frozenset(
    f"base64, {shift} bytes after a boundary{kind}" for shift in range(3) for kind in ("", ", url")
)


def forms(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of each form. Where upper and lower case mean the same, it is in lower case."""
    yield "as it is", data.lower()
    yield "hex", data.hex().encode()
    yield "percent-encoded", b"".join(b"%%%02x" % byte for byte in data)
    yield "escaped for JSON", b"".join(b"\\u%04x" % byte for byte in data)
    yield "escaped for Python", re.sub(rb"(..)", rb"\\x\1", data.hex().encode())
    yield "UTF-16, little end first", b"".join(bytes((byte, 0)) for byte in data.lower())
    yield "UTF-16, big end first", b"".join(bytes((0, byte)) for byte in data.lower())
    for shift in range(3):
        yield from _as_base64(data, shift)


def _as_base64(data: bytes, shift: int) -> Iterator[tuple[str, bytes]]:
    """The characters of base64 that depend on `data` alone, with so many bytes before it in its group of three."""
    first, last = -(-shift * 8 // 6), (shift + len(data)) * 8 // 6
    name = f"base64, {shift} bytes after a boundary"
    standard = base64.b64encode(bytes(shift) + data)[first:last]
    for_urls = base64.urlsafe_b64encode(bytes(shift) + data)[first:last]
    yield name, standard
    if for_urls != standard:
        yield f"{name}, url", for_urls


def _occurrences(data: bytes, needle: bytes) -> Iterator[int]:
    start = -1
    for _ in range(_HITS_MAX):
        start = data.find(needle, start + 1)
        if start < 0:
            return
        yield start


def _random(chars: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(chars))
