"""Reasoning that a model leaves in its text, between `<think>` and `</think>`, told from its answer. Pure.

However a text is cut into pieces, the parts are the same, and not a character of it is lost or comes twice.
"""

from typing import Final, NamedTuple

OPENS: Final = "<think>"
CLOSES: Final = "</think>"
_BEFORE, _INSIDE, _BEHIND, _SETTLED = range(4)


class Parts(NamedTuple):
    """What a piece of text brings."""

    thought: str = ""
    """Reasoning as the model wrote it, with its marks: what is counted. With `visible` it is the whole text."""
    reasoning: str = ""
    """The same without marks and what is blank before it: what the caller reads."""
    visible: str = ""
    """The answer as the model wrote it."""
    content: str = ""
    """The same, without what is blank between the reasoning and it."""

    def and_then(self, later: "Parts") -> "Parts":
        """Both, one after the other."""
        return Parts(*(one + other for one, other in zip(self, later, strict=True)))


NOTHING: Final = Parts()


class ThoughtSplitter:
    """One answer while it grows.

    Reasoning stands at the beginning, behind nothing but blanks; marks that come later are part of the answer. With
    `begun` the template has opened it, so that the text begins inside. What is never closed is reasoning to its end.
    """

    def __init__(self, *, begun: bool = False) -> None:
        self._begun = begun
        self._state = _BEFORE
        self._held = ""
        """What may be a mark, or the beginning of one."""
        self._blank = True
        """Nothing of the reasoning has been told yet."""

    @property
    def settled(self) -> bool:
        """All that comes is answer, just as it comes."""
        return self._state == _SETTLED

    def take(self, text: str) -> Parts:
        """The next piece."""
        if self._state == _BEFORE:
            return self._before(text)
        if self._state == _INSIDE:
            return self._inside(text, text)
        if self._state == _BEHIND:
            return self._behind(text)
        return Parts(visible=text, content=text)

    def end(self) -> Parts:
        """No more reasoning comes: what was held back."""
        held, state, self._held, self._state = self._held, self._state, "", _SETTLED
        if state == _INSIDE:
            return Parts(reasoning=held)  # as a thought it was told before
        if state == _BEFORE and self._begun:
            return Parts(thought=held, reasoning=held.lstrip())
        return Parts(visible=held, content=held)

    def _before(self, text: str) -> Parts:
        held = self._held + text
        said = held.lstrip()
        if said.startswith(OPENS):
            return self._enter(held, said[len(OPENS) :])
        if OPENS.startswith(said):
            self._held = held
            return NOTHING
        if self._begun:
            return self._enter(held, said)
        self._held, self._state = "", _SETTLED
        return Parts(visible=held, content=held)

    def _enter(self, written: str, said: str) -> Parts:
        self._held, self._state = "", _INSIDE
        return self._inside(written, said)

    def _inside(self, written: str, said: str) -> Parts:
        """`written` is new, and `said` is what of it is no mark of the beginning."""
        reasoning, closes, rest = (self._held + said).partition(CLOSES)
        if closes:
            self._held, self._state = "", _BEHIND
            thought = written[: len(written) - len(rest)]
            return Parts(thought, self._told(reasoning)).and_then(self._behind(rest))
        kept = _begun_mark(reasoning)
        self._held = reasoning[len(reasoning) - kept :]
        return Parts(written, self._told(reasoning[: len(reasoning) - kept]))

    def _told(self, reasoning: str) -> str:
        if self._blank:
            reasoning = reasoning.lstrip()
            self._blank = not reasoning
        return reasoning

    def _behind(self, text: str) -> Parts:
        content = text.lstrip()
        if content:
            self._state = _SETTLED
        return Parts(visible=text, content=content)


def split(text: str, *, begun: bool = False) -> Parts:
    """The parts of a whole text."""
    splitter = ThoughtSplitter(begun=begun)
    return splitter.take(text).and_then(splitter.end())


def _begun_mark(text: str) -> int:
    """How many characters at the end may be the beginning of the mark that closes."""
    place = text.rfind(CLOSES[0], -len(CLOSES) + 1)
    return len(text) - place if place >= 0 and CLOSES.startswith(text[place:]) else 0
