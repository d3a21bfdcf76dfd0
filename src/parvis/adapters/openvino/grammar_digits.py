"""Numbers as EBNF: what is between two bounds, and what is listed.

No two alternatives begin alike. XGrammar 0.1 (in openvino-genai 2026.4.1) joins those that do, and where one ends
within another (`1` and `12`) the joined rule takes digits without end.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

DIGITS_MAX = 16
"""Of a whole number, and behind a point: what readers of JSON carry without loss ends about there."""
FAR = 10**DIGITS_MAX - 1
_FRACTION = f'("." [0-9]{{1,{DIGITS_MAX}}})?'
_NOUGHTS = f'("." "0"{{1,{DIGITS_MAX}}})?'


class _Span(NamedTuple):
    """Numerals of one length that are between two, and what may stand behind each."""

    low: str
    high: str
    tail: str

    def after(self, digit: str) -> "_Span":
        """What is left when this digit, which is allowed, was the first."""
        rest = len(self.low) - 1
        low = self.low[1:] if digit == self.low[0] else "0" * rest
        return _Span(low, self.high[1:] if digit == self.high[0] else "9" * rest, self.tail)

    @property
    def free(self) -> bool:
        return set(self.low) <= {"0"} and set(self.high) <= {"9"}


def whole_numbers(low: int, high: int) -> str:
    """The whole numbers from `low` to `high`, both within `FAR`; "" when there is none."""
    return _signed(_spans(max(1, -high), -low, '""'), _spans(max(0, low), high, '""'))


def decimal_numbers(low: int, high: int) -> str:
    """The same for all numbers from `low` to `high`, which are whole themselves."""
    return _signed(_decimals(max(0, -high), -low), _decimals(max(0, low), high))


def listed_numbers(texts: Iterable[str]) -> str:
    """These very numerals."""
    found = []
    for first, group in groupby(sorted(set(texts)), key=lambda text: text[:1]):
        found.append(f'"{first}" {listed_numbers(text[1:] for text in group)}' if first else '""')
    return f"({' | '.join(found)})"


def _signed(below: Sequence[_Span], above: Sequence[_Span]) -> str:
    return " | ".join(sign + _numerals(spans) for sign, spans in (('"-" ', below), ("", above)) if spans)


def _decimals(low: int, high: int) -> list[_Span]:
    if low > high:
        return []
    return [*_spans(low, high - 1, _FRACTION), _Span(str(high), str(high), _NOUGHTS)]


def _spans(low: int, high: int, tail: str) -> list[_Span]:
    """Cut where the number of digits changes."""
    found = []
    while low <= high:
        top = min(high, 10 ** len(str(low)) - 1)
        found.append(_Span(str(low), str(top), tail))
        low = top + 1
    return found


def _numerals(spans: Sequence[_Span]) -> str:
    """Digit by digit: those after which the same may follow stand together."""
    lengths, tails = sorted({len(span.low) for span in spans}), {span.tail for span in spans}
    if all(span.free for span in spans) and len(tails) == 1 and lengths[-1] - lengths[0] < len(lengths):
        return f"[0-9]{{{lengths[0]},{lengths[-1]}}} {min(tails)}" if lengths[-1] else min(tails)
    found = [span.tail for span in spans if not span.low]
    following = {digit: _after(spans, digit) for digit in "0123456789"}
    for rest, digits in groupby("0123456789", key=following.__getitem__):
        if rest:
            first, *_, last = [*digits] * 2
            found.append(f"[{first}-{last}] {_numerals(rest)}")
    return f"({' | '.join(found)})"


def _after(spans: Sequence[_Span], digit: str) -> list[_Span]:
    left = {span.after(digit) for span in spans if span.low and span.low[0] <= digit <= span.high[0]}
    return sorted(left)
