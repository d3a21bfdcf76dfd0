"""When to come again, for who found a queue full or waited in vain. Pure; times come with each call.

What stands ahead, through how fast the queue moved lately. A program believes such a word if it stays about the same
from answer to answer, and if those who keep it find what they were promised: so the pace is smoothed over time and not
over turns, which come in bursts, and nobody is called earlier than the estimate.
"""

from math import ceil, exp

RETRY_S_MAX = 60
"""Clients pass over what is longer."""
UNKNOWN_S = 2.0
"""While nobody has had a turn yet; longer once they have waited longer."""
SPREAD = 0.1
"""The last of those who are refused together are called so much later than the first."""
MEMORY_S = 30.0
"""Of the pace, what is older than this counts for less than half."""
_GOLDEN = 0.618034
"""Its multiples lie evenly between whole numbers, however many there are."""


def retry_after_s(estimate_s: float, number: int) -> int:
    """Between 1 and 60 s; never before the estimate, if that is not above what a client takes.

    `number`: which refusal it is. Those that follow one another are spread over a tenth more than the estimate.
    """
    first_s = min(max(estimate_s, 1.0), RETRY_S_MAX / (1 + SPREAD))
    return min(RETRY_S_MAX, ceil(first_s * (1 + SPREAD * (number * _GOLDEN % 1))))


class Pace:
    """How fast a queue moves. Times in which nobody waits say nothing."""

    __slots__ = ("_at_s", "_spent_s", "_tokens")

    def __init__(self) -> None:
        self._tokens = self._spent_s = 0.0
        """What was served, and in how long, both fading."""
        self._at_s = 0.0

    def begins(self, now_s: float) -> None:
        """Somebody waits, and nobody did before."""
        self._at_s = now_s

    def served(self, tokens: int, now_s: float) -> None:
        """One that waited has had its turn."""
        self._tokens, self._spent_s = self._faded(now_s)
        self._tokens += tokens
        self._at_s = now_s

    def estimate_s(self, ahead: int, now_s: float) -> float:
        """In how long so many tokens will have been served, as fast as lately."""
        tokens, spent_s = self._faded(now_s)
        return ahead * spent_s / tokens if tokens else max(UNKNOWN_S, spent_s)

    def _faded(self, now_s: float) -> tuple[float, float]:
        """What is known by now: time that has passed since the last turn speaks too."""
        gap_s = max(0.0, now_s - self._at_s)
        left = exp(-gap_s / MEMORY_S)
        return self._tokens * left, self._spent_s * left + gap_s
