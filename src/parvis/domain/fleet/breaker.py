"""Whether a replica is asked at all: closed (yes), open (no), half open (one request tries). Pure; time comes in."""

from enum import StrEnum

PAUSE_S = 1.0
"""The first pause after which a replica is tried again; each that follows without rest is twice as long."""
PAUSE_S_MAX = 30.0
PAUSE_S_MAX_OF_ALL = 2.0
"""While all of a pool are open: nothing is lost by trying one, and the first that heals should be found soon."""


class BreakerState(StrEnum):
    """Named as electricians do: current flows through what is closed."""

    CLOSED = "closed"
    HALF_OPEN = "half open"
    OPEN = "open"


class Breaker:
    """That of one replica. What speaks against a replica is decided elsewhere (`health`)."""

    __slots__ = ("_next_pause_s", "_opened_s", "_trial", "state", "until_s")

    def __init__(self) -> None:
        self.state = BreakerState.CLOSED
        self.until_s = 0.0
        """When an open one may be tried again."""
        self._opened_s = 0.0
        self._next_pause_s = PAUSE_S
        self._trial = False

    @property
    def lets_in(self) -> bool:
        """Whether a request may go there now."""
        return self.state is BreakerState.CLOSED or (self.state is BreakerState.HALF_OPEN and not self._trial)

    def open(self, now_s: float) -> None:
        """Nobody goes there for a while, which is longer each time."""
        self.state = BreakerState.OPEN
        self._opened_s = now_s
        self.until_s = now_s + self._next_pause_s
        self._next_pause_s = min(self._next_pause_s * 2, PAUSE_S_MAX)
        self._trial = False

    def hurry(self) -> None:
        """All others of its pool are open too."""
        self.until_s = min(self.until_s, self._opened_s + PAUSE_S_MAX_OF_ALL)

    def half_open(self, now_s: float) -> bool:
        """One request may try, if it is open and its pause is over; gives whether that is so."""
        if self.state is not BreakerState.OPEN or now_s < self.until_s:
            return False
        self.state = BreakerState.HALF_OPEN
        return True

    def entered(self) -> None:
        """A request went there: of a half open one it is the trial, and no other goes before it has ended."""
        self._trial = self.state is BreakerState.HALF_OPEN

    def undecided(self) -> None:
        """The trial ended and says nothing, because its client left: another may try."""
        self._trial = False

    def close(self) -> None:
        """It answers. Pauses stay as long as they have grown until `settled`."""
        self.state = BreakerState.CLOSED
        self._trial = False

    def settled(self) -> None:
        """It has answered well for so long that what was is forgotten."""
        self._next_pause_s = PAUSE_S
