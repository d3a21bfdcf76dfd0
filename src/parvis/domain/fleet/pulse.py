"""Whether an engine process of ours that lives has frozen: for too long, no look at its health was answered well.

Pure; looks come in with their times. A stopped or deadlocked process is never seen to end, so nobody else replaces it.
"""

from typing import Final

from parvis.domain.fleet.health import Life

LOOKS_MIN: Final = 3
"""In a row without a good answer: one look may be late for reasons of the machine."""
GAP_S_MAX: Final = 20.0
"""After so long without a look it was we who stood still, or the machine slept: the time begins anew."""


class Pulse:
    """That of one process, which has just been seen to serve."""

    def __init__(self, now_s: float) -> None:
        self._well_s = self._looked_s = now_s
        self._misses = 0

    def looked(self, life: Life | None, now_s: float) -> None:
        """What a look showed; None: we ourselves were too slow to know, which says nothing against it."""
        if life in (Life.ALIVE, None) or now_s - self._looked_s > GAP_S_MAX:
            self._well_s, self._misses = now_s, 0
        else:
            self._misses += 1
        self._looked_s = now_s

    def silent_s(self) -> float:
        """For how long it has not been well, as of the last look."""
        return self._looked_s - self._well_s

    def frozen(self, s_max: float) -> bool:
        """Whether it should be ended and started again."""
        return self._misses >= LOOKS_MIN and self.silent_s() >= s_max
