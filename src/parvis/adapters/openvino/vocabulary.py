"""Tokens and their text: bytes, not characters, so that none is ever split."""

import codecs
from collections.abc import Mapping, Sequence


class Vocabulary:
    """What each token writes; those that only mark something write nothing."""

    def __init__(self, numbers: Mapping[bytes, int], marks: frozenset[int] = frozenset()) -> None:
        self._bytes = {number: b"" if number in marks else text for text, number in numbers.items()}

    def __len__(self) -> int:
        return len(self._bytes)

    def text_of(self, token: int) -> bytes:
        """Of a number that the vocabulary does not have, nothing."""
        return self._bytes.get(token, b"")


class Writer:
    """The text of one answer, as its tokens come: only whole characters, and nothing of what may become a stop text."""

    def __init__(self, vocabulary: Vocabulary, stops: Sequence[str] = ()) -> None:
        self._vocabulary = vocabulary
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False
        """A stop text came: nothing is written any more."""

    def write(self, tokens: Sequence[int], *, last: bool = False) -> str:
        """What may be shown now; with the last tokens, all that is left."""
        if self.stopped:
            return ""
        text = self._decode(b"".join(map(self._vocabulary.text_of, tokens)), last)
        if not self._stops:
            return text
        text = self._held + text
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        keep = 0 if last else self._begun(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def _begun(self, text: str) -> int:
        """Characters at the end of the text with which a stop text begins."""
        longest = min(len(text), max(map(len, self._stops)) - 1)
        return next((n for n in range(longest, 0, -1) if any(stop.startswith(text[-n:]) for stop in self._stops)), 0)
