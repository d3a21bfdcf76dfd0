"""How hard a task looks, and in which language it is written: what `auto` entries read of a prompt.

Signs, not understanding: cheap, the same for the same prompt, and without a model of its own. Whoever knows better puts
another `Scorer` in its place (docs/how-to/auto.md).
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from parvis.domain.catalog.model import Capability

READ_CHARS_MAX = 4_000
"""Of all texts together, the last ones first: what is looked at for signs. Lengths are of all."""
BYTES_PER_TOKEN = 3
"""Of UTF-8, about: English has 4, code and other languages fewer. What is underrated the engine refuses."""

# Every repetition is bounded, so that no text takes longer than another of its length.
_CODE = re.compile(
    r"```|[{};][ \t]{0,8}$|\b(?:def|class|import|SELECT|function|const|return|#include)\b",
    re.MULTILINE,
)
_MATHS = re.compile(
    r"[=≤≥≈∑∫√π^]|\\(?:frac|sum|int|sqrt)|\d ?[-+*/] ?\d|\b(?:prove|theorem|integral|equation)\b",
    re.IGNORECASE,
)
_ORDERS = re.compile(
    r"\?|^[ \t]{0,8}(?:[-*•]|\d{1,3}[.)])\s|\b(?:must|should|then|step|each|explain|compare|why)\b",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Matter:
    """What a scorer sees of a request."""

    texts: tuple[str, ...]
    """All that a model would read, in its order; of a chat at least one for each message."""
    needs: tuple[str, ...] = ()
    """As `tools`, `vision`, `reasoning`."""
    output_tokens: int | None = None
    """Of one answer, as its caller bounds it."""


Scorer = Callable[[Matter], float]
"""How hard it is: 0 to 1. Called on the loop of a gateway for each request to an `auto` entry: it must not wait."""


def difficulty(matter: Matter) -> float:
    """What signs say. The scorer that is there when none is named.

    Each sign is worth so much at the most: length 0.25 (of 8,000 characters), code 0.15 (6 signs), mathematics
    0.2 (6), questions and instructions 0.2 (12), depth of the conversation 0.1 (20 texts), tools 0.15, images 0.1,
    reasoning asked for 0.4, a long answer 0.1 (2,000 tokens). Each grows evenly up to it; all are 1 at the most.
    """
    read = "\n".join(_latest(matter.texts))
    signs = (
        (0.25, sum(map(len, matter.texts)) / 8_000),
        (0.15, len(_CODE.findall(read)) / 6),
        (0.2, len(_MATHS.findall(read)) / 6),
        (0.2, len(_ORDERS.findall(read)) / 12),
        (0.1, (len(matter.texts) - 1) / 20),
        (0.15, Capability.TOOLS in matter.needs),
        (0.1, Capability.VISION in matter.needs),
        (0.4, Capability.REASONING in matter.needs),
        (0.1, (matter.output_tokens or 0) / 2_000),
    )
    return min(1.0, sum(worth * min(1.0, max(0.0, extent)) for worth, extent in signs))


def input_tokens(texts: Iterable[str]) -> int:
    """About so many tokens."""
    return sum(len(text.encode()) // BYTES_PER_TOKEN + 1 for text in texts)


_SMALL_WORDS = {
    "de": "der die das und ist nicht ein eine ich zu den mit sie wie auf für bitte kann was",
    "en": "the and is of to in that it you for not with are this what how please can my",
    "es": "el los las que es por para una con del no como más qué está cómo puede mi",
    "fr": "le les des est et une dans que pour pas qui sur avec vous je ce quel comment mon",
    "it": "il gli che è di non per una con sono della come più questo cosa mi può perché",
    "nl": "de het een en van is niet dat op met voor zijn wat hoe kan ik je maar ook",
    "pt": "o os as que é não uma para com por mais como você dos em meu está qual",
}
_LANGUAGES_OF: dict[str, tuple[str, ...]] = {}
for _language, _words in _SMALL_WORDS.items():
    for _word in _words.split():
        _LANGUAGES_OF[_word] = (*_LANGUAGES_OF.get(_word, ()), _language)
_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
)
_SIGNS_MIN = 3


def language_of(texts: tuple[str, ...]) -> str:
    """The language of the last texts, as `fr`, by small words and scripts; empty where that does not tell."""
    read = "\n".join(_latest(texts)).lower()
    for language, script in _SCRIPTS:
        if len(script.findall(read)) * 5 > len(read):
            return language
    found = Counter(one for word in re.findall(r"[^\W\d_]+", read) for one in _LANGUAGES_OF.get(word, ()))
    best = [*found.most_common(2), ("", 0), ("", 0)]
    return best[0][0] if best[0][1] >= _SIGNS_MIN and best[0][1] > best[1][1] else ""


def _latest(texts: tuple[str, ...]) -> list[str]:
    """The ends of the last texts: what is read of them."""
    read, left = [], READ_CHARS_MAX
    for text in reversed(texts):
        if left <= 0:
            break
        read.append(text[-left:])
        left -= len(read[-1])
    return read
