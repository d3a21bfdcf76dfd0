"""In which language a refusal is said: English, or French when the caller prefers it.

Sentences are written in English where they are raised. `french.po` has each of them with its translation, in the form
of gettext's catalogues; `{names}` in them stand for what a sentence quotes, and are the same on both sides. A sentence
that is not in it stays English, and so does what it quotes, unless that is a sentence of the catalogue itself.

A sentence that tells a state, as why a replica takes nothing, has a `msgctxt` too: a code that stays when its wording
changes. With it and with what stands for the `{names}` any other language can be made of it.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import pairwise

ENGLISH, FRENCH = "en", "fr"
SAID_CHARS_MAX = 2000
PARTS_MAX = 20
_OFFER = re.compile(r"(?P<language>en|fr)(?:-[a-z0-9-]+)?\s*(?:;\s*q=(?P<weight>[01](?:\.[0-9]{0,3})?))?")
_FIELD = re.compile(r"\{(\w+)\}")
_LINE = re.compile(r'(msgctxt|msgid|msgstr) (".*")')
_WORDINGS_KEPT = 512


def preferred(accept_language: str) -> str:
    """The language of an `Accept-Language` header: the heavier of ours, the first of equals, English for neither."""
    best, most = ENGLISH, 0.0
    for part in accept_language.split(",")[:PARTS_MAX]:
        found = _OFFER.fullmatch(part.strip().lower())
        weight = float(found["weight"] or 1) if found else 0.0
        if found and weight > most:
            best, most = found["language"], weight
    return best


def in_french(said: str) -> str | None:
    """The same in French; None when the catalogue does not know it. Several sentences may stand side by side."""
    if len(said) > SAID_CHARS_MAX:
        return None
    whole = _translated(said)
    if whole is not None or ". " not in said:
        return whole
    parts = [_translated(part.rstrip(".") + ".") for part in said.split(". ")]
    return None if None in parts else " ".join(part for part in parts if part)


def catalogue(text: str) -> Iterator[tuple[str, str]]:
    """The pairs of a catalogue. Raises ValueError for one that is not whole."""
    lines = [line for line in _lines(text) if line[0] != "msgctxt"]
    for (english, said), (french, meant) in zip(lines[::2], lines[1::2], strict=True):
        if (english, french) != ("msgid", "msgstr"):
            raise ValueError(f"a pair of the catalogue is broken near {said}")
        yield json.loads(said), json.loads(meant)


def codes(text: str) -> Iterator[tuple[str, str]]:
    """The sentences of a catalogue that have a code: (code, English)."""
    lines = list(_lines(text))
    for (word, code), (_, english) in pairwise(lines):
        if word == "msgctxt":
            yield json.loads(code), json.loads(english)


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if found := _LINE.fullmatch(line):
            yield found[1], found[2]


@dataclass(frozen=True, slots=True)
class Worded:
    """A sentence in somebody's language; its code, empty where it has none, and what it quotes."""

    text: str
    code: str
    facts: Mapping[str, str]


@lru_cache(_WORDINGS_KEPT)
def worded(said: str, language: str) -> Worded:
    """For sentences that come again and again, of machines and never of requests: a few of them are kept.

    Several may stand side by side: the code is that of the first that has one.
    """
    parts = said.split(". ")
    parts = [*(f"{part}." for part in parts[:-1]), parts[-1]]
    text = " ".join((in_french(part) if language == FRENCH else None) or part for part in parts)
    read = [(code, facts) for part in parts for form, code in _coded() if (facts := form.read(part)) is not None]
    return Worded(text, *(read[0] if read else ("", {})))


@dataclass(frozen=True, slots=True)
class Template:
    """A sentence with holes: fixed texts, and between any two of them something quoted."""

    texts: tuple[str, ...]
    names: tuple[str, ...]

    def read(self, sentence: str) -> Mapping[str, str] | None:
        """What the holes hold; None when it is another sentence. In linear time, whatever is quoted."""
        first, *rest = self.texts
        if not sentence.startswith(first):
            return None
        if not rest:
            return {} if sentence == first else None
        quoted, at, end = [], len(first), len(sentence) - len(rest[-1])
        for text in rest[:-1]:
            found = sentence.find(text, at, end)
            if found < 0:
                return None
            quoted.append(sentence[at:found])
            at = found + len(text)
        if at > end or not sentence.endswith(rest[-1]):
            return None
        return dict(zip(self.names, [*quoted, sentence[at:end]], strict=True))


def template(sentence: str) -> Template:
    """`There is no tenant '{tenant_id}'.` as a template."""
    parts = _FIELD.split(sentence)
    return Template(tuple(parts[::2]), tuple(parts[1::2]))


@cache
def _patterns() -> Sequence[tuple[Template, str]]:
    """Templates that say more come first: one with fewer holes and longer texts is never hidden by another."""
    return _special_first(catalogue(_text()))


@cache
def _coded() -> Sequence[tuple[Template, str]]:
    return _special_first((english, code) for code, english in codes(_text()))


def _text() -> str:
    return files(__package__).joinpath("french.po").read_text("utf-8")


def _special_first(pairs: Iterable[tuple[str, str]]) -> Sequence[tuple[Template, str]]:
    found = [(template(english), other) for english, other in pairs]
    return sorted(found, key=lambda pair: (len(pair[0].names), -sum(map(len, pair[0].texts))))


def _translated(sentence: str) -> str | None:
    for template, translation in _patterns():
        quoted = template.read(sentence)
        if quoted is not None:
            return _filled(translation, quoted)
    return None


def _filled(translation: str, quoted: Mapping[str, str]) -> str:
    return _FIELD.sub(lambda hole: _translated(quoted[hole[1]]) or quoted[hole[1]], translation)
