"""Filter, score, pick: which replica takes a request. Pure; the caller keeps the seats true.

    choice = pick(seats, ask.tried, weights, Known(found, blocks, common, home))
    seats[choice.picked]  # unless that is BUSY or NOBODY

What the scores mean, and why the weights are what they are: docs/reference/routing.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from parvis.domain.fleet.replica import Replica, ReplicaState
from parvis.domain.fleet.seat import Seat

BUSY: Final = -1
"""Instead of a choice: all that could take it have no room now."""
NOBODY: Final = -2
"""Instead of a choice: there is none that could take it, now or in a while."""

WORTH_BLOCKS: Final = 4
"""A prompt of so many blocks is worth half as much affinity as a very long one: so little is read again at once."""
ALIKE: Final = 2.0
"""First bytes that take so many times the best are as good as the best: so much comes from what was asked."""
PACE_MIN: Final = 0.01
"""So that a seat always has some room to be measured by."""
HOME: Final = 0.5
"""The home of a prompt counts as if it had so much of what it is not known to have."""
_SPREAD: Final = 0x9E3779B1
_MASK: Final = (1 << 32) - 1

_CORDONED: Final = -1.0
_CLOSED: Final = -2.0
_TRIED: Final = -3.0
_FULL: Final = -4.0
SHUT = {_CORDONED: "takes nothing new", _CLOSED: "closed", _TRIED: "tried", _FULL: "full"}
MARKS: Final = 4
"""Of each candidate: its load, prefix, latency, and its total; or in place of that why it was filtered."""


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each score counts beside the others, and where affinity ends."""

    load: float = 1.0
    prefix: float = 1.0
    latency: float = 0.25
    weight: float = 0.1
    cost: float = 0.1
    affinity_load_max: float = 1.5
    """Affinity counts while a replica is filled at most so many times as much as its pool."""
    affinity_fill: float = 0.7
    """Or less than this share of its room: in a pool that is nearly empty, one with a few requests is not too full."""

    @property
    def whole(self) -> float:
        """Of all scores together; more than 0."""
        return self.load + self.prefix + self.latency + self.weight + self.cost


class Choice:
    """One decision: whom of the seats, in their order, and the marks that each was given."""

    __slots__ = ("marks", "picked", "shut")

    def __init__(self, picked: int, marks: Sequence[float], shut: Mapping[int, str]) -> None:
        self.picked = picked
        self.marks = marks
        self.shut = shut
        """Why those were closed that were, for people, by their place."""


ALONE = Choice(0, [], {})
"""Of a pool with one seat, which can take the request: nothing is weighed."""


class _Field:
    """A pool at one moment: what each of its seats is measured against. Walked through for each request."""

    __slots__ = ("bound", "fastest_ms", "fills", "fullest", "home")

    def __init__(self, seats: Sequence[Seat], weights: Weights, home: int) -> None:
        jobs, room, fastest_ms, highest = 1.0, 0.0, 0.0, -1
        self.fullest = 1.0
        """How full the fullest one is; at least 1."""
        self.home: Seat | None = None
        """Where a prompt belongs of which too little is known (rendezvous hashing: Thaler, Ravishankar 1998)."""
        self.fills: list[float] = []
        """So many times its room each seat has; of one that takes nothing, 0."""
        for seat in seats:
            if not (seat.open and seat.takes_new):
                self.fills.append(0.0)
                continue
            here = seat.in_flight + seat.elsewhere
            space = seat.room if seat.pace >= 1.0 else seat.room * max(seat.pace, PACE_MIN)
            fill = here / space
            self.fills.append(fill)
            self.fullest = max(self.fullest, fill)
            jobs += here
            room += space
            first_ms = seat.first_byte_ms
            if first_ms > 0.0 and (first_ms < fastest_ms or fastest_ms == 0.0):
                fastest_ms = first_ms
            if home:
                rank = ((home ^ seat.key) * _SPREAD) & _MASK
                if rank > highest:
                    self.home, highest = seat, rank
        self.bound = max(weights.affinity_load_max * jobs / room if room else 0.0, weights.affinity_fill)
        """The fill up to which affinity counts: of the whole pool, this request included, times the setting."""
        self.fastest_ms = fastest_ms


class Known:
    """What is known of a prompt: which share of it each replica probably has."""

    __slots__ = ("_found", "_worth", "home", "whole")

    def __init__(self, found: Mapping[int, int], blocks: int, common: int, home: int) -> None:
        """`found`: how many of so many blocks each has, by the number of its seat. Of the others, see `Prompt`."""
        self._found = found
        self._worth = float(blocks + WORTH_BLOCKS)
        self.home = home
        """Where nobody is known to have more than the first text: gateways, which know nothing of each other, agree."""
        for depth in found.values():
            if depth > common:
                self.home = 0
        self.whole = blocks / self._worth
        """The share of a replica that has all of it."""

    def share(self, number: int) -> float:
        """That of the replica whose seat has this number."""
        return self._found.get(number, 0) / self._worth


NOTHING_KNOWN = Known({}, 0, 0, 0)


def takes_new(replica: Replica) -> bool:
    """Whether operator and machine let it take requests."""
    return replica.state is ReplicaState.READY


def has_room(seat: Seat) -> bool:
    """Whether one more of ours runs at once there; of a seat that comes back slowly, one always does."""
    return seat.slots == 0 or seat.in_flight < seat.slots * seat.pace or 0 == seat.in_flight < seat.slots


def compare(seats: Iterable[Seat], weights: Weights) -> None:
    """Write into seats of one pool what their weights and costs come to. Again when any of these is another."""
    seats = list(seats)
    heaviest, dearest = max(seat.replica.weight for seat in seats), max(seat.replica.cost for seat in seats)
    for seat in seats:
        weight, cost = weight_score(seat.replica, heaviest), cost_score(seat.replica, dearest)
        seat.merit = (weights.weight * weight + weights.cost * cost) / weights.whole


def weight_score(replica: Replica, heaviest: int) -> float:
    """Beside the strongest of its pool."""
    return max(1, replica.weight) / max(1, heaviest)


def cost_score(replica: Replica, dearest: int) -> float:
    """What it saves beside the dearest of its pool; all that cost nothing are as good."""
    return 1.0 - max(0, replica.cost) / dearest if dearest > 0 else 1.0


def pick(seats: Sequence[Seat], tried: frozenset[str], weights: Weights, known: Known = NOTHING_KNOWN) -> Choice:
    """The best of those that are open, have room and were not tried; of equals the first."""
    field = _Field(seats, weights, known.home)
    wholly = 1.0 / weights.whole
    for_load, for_prefix, for_latency = weights.load * wholly, weights.prefix * wholly, weights.latency * wholly
    picked, best, at = NOBODY, -1.0, -1
    marks: list[float] = []
    shut: dict[int, str] = {}
    for seat in seats:
        at += 1
        barred = barred_by(seat, tried)
        if barred:
            marks += (0.0, 0.0, 0.0, barred)
            if barred == _CLOSED:
                shut[at] = seat.why
            elif barred == _FULL and picked == NOBODY:
                picked = BUSY
            continue
        fill = field.fills[at]
        load = 1.0 - fill / field.fullest
        prefix = 0.0
        if fill < field.bound:
            prefix = known.share(seat.number)
            if seat is field.home:
                prefix += HOME * (known.whole - prefix)
        slower = seat.first_byte_ms > ALIKE * field.fastest_ms
        latency = ALIKE * field.fastest_ms / seat.first_byte_ms if slower else 1.0
        total = for_load * load + for_prefix * prefix + for_latency * latency + seat.merit
        marks += (load, prefix, latency, total)
        if total > best or (total == best and seat.read < seats[picked].read):
            picked, best = at, total
    return Choice(picked, marks, shut)


def barred_by(seat: Seat, tried: frozenset[str]) -> float:
    """Why it cannot take the request, as in `SHUT`; 0 if it can."""
    if not seat.takes_new:
        return _CORDONED
    if not seat.open:
        return _CLOSED
    if tried and seat.replica.replica_id in tried:
        return _TRIED
    return 0.0 if has_room(seat) else _FULL
