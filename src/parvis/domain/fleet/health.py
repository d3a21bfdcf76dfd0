"""What one gateway thinks of one replica, from what it saw of it. Events come in, each with its time; nothing is asked.

Evidence opens the breaker: requests that got nothing, answers that broke midway, pages of health that do not come,
a key that it does not accept, first bytes far slower than those of its pool. When its pause is over, and no page of
health speaks against it, one request tries it, and then it comes back slowly: an engine that has just started has no
warm cache, and may die again.

Who hangs up on a request may have died, or the request is what breaks it. The next look tells: if that is good, what
was hung up on speaks against the requests. Only several in a row, faster than looks come, speak against the replica.
"""

from collections.abc import Sequence
from enum import StrEnum
from statistics import median

from parvis.domain.fleet.ask import Ending
from parvis.domain.fleet.breaker import Breaker, BreakerState

MISSES_MAX = 3
"""Requests in a row without any answer, those that it hung up on included, after which nobody goes there."""
SILENT_PROBES_MAX = 2
TROUBLE_MAX = 0.5
"""The share of bad ends among the last ones that is too much."""
TROUBLE_STEP = 0.1
"""How much of that share one more end is."""
TROUBLE_FORGOTTEN = 0.01
SLOW_START_S = 10.0
PACE_MIN = 0.1
TRIAL_WAIT_S = 2.0
"""A half open replica that no request came to try comes back all the same, as slowly."""

FIRST_BYTE_STEP = 0.2
"""How much of the average one more first byte is."""
SLOW_TIMES = 5
SLOW_MS_MIN = 500
"""A replica is an outlier when its first bytes take so many times those of its pool, and so much longer."""
SLOW_SAMPLES_MIN = 5
SLOW_FRESH_S = 5.0
"""After so many seconds without a first byte, nobody knows how slow it is now."""


class Life(StrEnum):
    """What a look at a replica showed."""

    ALIVE = "alive"
    SILENT = "silent"
    """It did not answer in time."""
    REFUSED = "refused"
    """Nothing listens there, or it says of itself that it cannot serve."""


_SEEN = {Life.REFUSED: "Nothing listens there.", Life.SILENT: "It does not answer when asked how it is."}


class Health:
    """The state of one replica."""

    __slots__ = (
        "_cause",
        "_drops",
        "_healing_since_s",
        "_misses",
        "_sampled_s",
        "_samples",
        "_silent",
        "_tried_since_s",
        "_trouble",
        "breaker",
        "first_byte_ms",
        "pace",
        "sign_s",
        "troubled",
        "why",
    )

    def __init__(self, now_s: float, *, slowly: bool = False) -> None:
        """Of one that is new; `slowly`, because others of its pool already serve."""
        self.breaker = Breaker()
        self.pace = PACE_MIN if slowly else 1.0
        self.why = COMING if slowly else ""
        self.first_byte_ms = 0.0
        self.sign_s = 0.0
        """When it last showed that it lives."""
        self.troubled = slowly
        """Something speaks against it, or lately did: only then does a good end make a difference."""
        self._healing_since_s = now_s
        self._tried_since_s = 0.0
        self._samples = self._misses = self._drops = self._silent = 0
        self._sampled_s = 0.0
        self._trouble = 0.0
        self._cause = ""

    @property
    def quiet(self) -> bool:
        """Nothing about it changes with time alone, and a good end changes nothing either."""
        return self.breaker.state is BreakerState.CLOSED and self.pace >= 1.0

    # Of requests

    def entered(self) -> None:
        """A request was sent there."""
        self.breaker.entered()

    def first_byte(self, now_s: float, took_ms: float | None) -> None:
        """It has begun to answer a request; None: how long that took says nothing, the answer came whole."""
        self.sign_s = now_s
        self._misses = self._drops = self._silent = 0
        if took_ms is not None:
            self._learn(now_s, took_ms)

    def _learn(self, now_s: float, took_ms: float) -> None:
        self._sampled_s = now_s
        self._samples += 1
        before_ms = self.first_byte_ms
        self.first_byte_ms = took_ms if self._samples == 1 else before_ms + FIRST_BYTE_STEP * (took_ms - before_ms)

    def ended(
        self, ending: Ending, placed_s: float, now_s: float, *, heard: bool, last: bool = False, said: str = ""
    ) -> None:
        """A request that was placed then has left it; `heard`, if it had begun to answer; `said`: why it gave nothing.

        `last`: nobody else of its pool is open. Broken answers do not close that one: whoever asks for what breaks an
        engine would close it to all.
        """
        if self.breaker.state is BreakerState.OPEN or placed_s < self._tried_since_s:
            return  # of the time before it was left alone: known already
        match ending:
            case Ending.UNAVAILABLE | Ending.BROKE:
                self._bad(ending, now_s, last=last, said=said)
            case Ending.DROPPED:
                self._dropped(now_s, last=last)
            case Ending.KEY_REFUSED:
                self._open(now_s, said or "It refuses our key.")
            case Ending.REFUSED:
                self._good(now_s)
            case Ending.GOOD if heard:
                self._good(now_s)
            case Ending.LATE:
                self._learn(now_s, (now_s - placed_s) * 1000)  # it would have taken longer
                self.breaker.undecided()
            case Ending.GOOD:
                self.breaker.undecided()

    def _good(self, now_s: float) -> None:
        self.sign_s = now_s
        self._misses = self._drops = self._silent = 0
        self._trouble -= self._trouble * TROUBLE_STEP
        if self.breaker.state is BreakerState.HALF_OPEN:
            self._come_back(now_s)
        self.troubled = not self.quiet or self._trouble > TROUBLE_FORGOTTEN

    def _bad(self, ending: Ending, now_s: float, *, last: bool, said: str) -> None:
        self.troubled = True
        self._misses += ending is Ending.UNAVAILABLE
        self._trouble += (1 - self._trouble) * TROUBLE_STEP
        relapse = TOOK_NOTHING_AGAIN if ending is Ending.UNAVAILABLE else BROKE_AGAIN
        told = f" {said}" if said else ""
        if last and ending is Ending.BROKE:
            self.breaker.undecided()
        elif self.breaker.state is BreakerState.HALF_OPEN or self.pace < 1:
            self._open(now_s, relapse + told)
        elif self._misses + self._drops >= MISSES_MAX:
            self._open(now_s, f"It took none of {self._misses + self._drops} requests in a row." + told)
        elif self._trouble >= TROUBLE_MAX:
            self._open(now_s, "It failed or broke most of its last answers.")

    def _dropped(self, now_s: float, *, last: bool) -> None:
        """It wants a look now. One that comes back is not sent back for it: another request may try."""
        self.troubled = True
        self.sign_s = 0.0
        self._drops += 1
        self._trouble += (1 - self._trouble) * TROUBLE_STEP
        self.breaker.undecided()
        if self._misses + self._drops >= MISSES_MAX:
            self._open(now_s, f"It hung up on {self._drops} requests before it answered them.")
        elif self._trouble >= TROUBLE_MAX and not last:
            self._open(now_s, "It failed or broke most of its last answers.")

    # Of looks at it

    def probed(self, life: Life, now_s: float, said: str = "") -> None:
        """Somebody asked how it is; `said`: why that was not well."""
        if life is Life.ALIVE:
            self.sign_s = now_s
            self._silent = self._drops = 0
            return
        self._silent = SILENT_PROBES_MAX if life is Life.REFUSED else self._silent + 1
        if self._silent < SILENT_PROBES_MAX:
            return
        said = said or _SEEN[life]
        if self.breaker.state is BreakerState.OPEN:
            self.why = self._cause = said
        else:
            self._open(now_s, said)

    @property
    def gone(self) -> bool:
        """It was asked how it is, and did not answer."""
        return self._silent >= SILENT_PROBES_MAX

    def moved(self, now_s: float) -> None:
        """Bytes of an answer came from it."""
        self.sign_s = now_s
        self._silent = 0

    # Of its pool

    def known_ms(self, now_s: float) -> float | None:
        """How long its first bytes take; None while nobody knows well enough."""
        known = self._samples >= SLOW_SAMPLES_MIN and now_s - self._sampled_s <= SLOW_FRESH_S
        return self.first_byte_ms if known else None

    def leave_as_slow(self, now_s: float, others_ms: float) -> None:
        """Others of its pool begin to answer far sooner."""
        self._open(now_s, f"Its first bytes take {self.first_byte_ms:.0f} ms, those of its pool {others_ms:.0f} ms.")

    # Of time

    def tick(self, now_s: float) -> None:
        """Pauses end, and who comes back takes more."""
        state = self.breaker.state
        if state is BreakerState.OPEN and not self._silent and self.breaker.half_open(now_s):
            self._tried_since_s = now_s
            self.why = f"{self._cause} {TRIED}"
        elif state is BreakerState.HALF_OPEN and self.breaker.lets_in and now_s - self._tried_since_s >= TRIAL_WAIT_S:
            self._come_back(now_s)
        elif state is BreakerState.CLOSED and self.pace < 1:
            share = max(0.0, now_s - self._healing_since_s) / SLOW_START_S
            self.pace = min(1.0, PACE_MIN + (1 - PACE_MIN) * share)
            if self.pace >= 1:
                self.breaker.settled()
                self.why = ""

    def _open(self, now_s: float, why: str) -> None:
        self.breaker.open(now_s)
        self.troubled = True
        self.why = self._cause = why
        self.pace = PACE_MIN
        self.first_byte_ms = 0.0
        self._samples = self._misses = self._drops = 0
        self._trouble = 0.0

    def _come_back(self, now_s: float) -> None:
        self.breaker.close()
        self.pace = PACE_MIN
        self.why = COMING
        self._healing_since_s = now_s


COMING = "It comes back slowly."
TRIED = "One request tries it."
TOOK_NOTHING_AGAIN = "It took no request when it was to come back."
BROKE_AGAIN = "It broke an answer when it was to come back."


def slow_ones(pool: Sequence[Health], now_s: float) -> list[tuple[Health, float]]:
    """Those to be left alone because others are far faster, each with what the others take, slowest first.

    Never so many that, with those that are out already, more than a third of the pool is out (of few: one), and never
    the last one: that it is slow says nothing when all are.
    """
    open_ones = [one for one in pool if one.breaker.state is BreakerState.CLOSED]
    may_go = min(max(1, len(pool) // 3) - (len(pool) - len(open_ones)), len(open_ones) - 1)
    known = [(ms, one) for one in open_ones if (ms := one.known_ms(now_s)) is not None]
    slow = []
    for ms, one in known:
        others = [other_ms for other_ms, other in known if other is not one]
        typical_ms = median(others) if others else ms
        if ms > SLOW_TIMES * typical_ms and ms > typical_ms + SLOW_MS_MIN:
            slow.append((ms, one, typical_ms))
    slow.sort(key=lambda found: -found[0])
    return [(one, typical_ms) for _, one, typical_ms in slow[: max(0, may_go)]]
