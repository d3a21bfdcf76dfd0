"""Other ways to choose a replica, to compare ours with: as other gateways do it, in the same simulation.

All of them leave replicas alone that do not answer, and ask another one as ours does. None of them has a queue: what is
sent waits inside the engine, which is how they work.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import count
from typing import Protocol

from parvis.core.clock import Clock
from parvis.core.errors import EngineUnavailable
from parvis.domain.fleet.ask import GAVE_NOTHING, Ask, Ending
from parvis.domain.fleet.replica import Replica
from parvis.domain.fleet.routing import takes_new
from parvis.domain.fleet.seat import Placement, Seat
from parvis.flows.ports import Sink
from parvis.flows.standing import Standing

ATTEMPTS_MAX = 3
RING_POINTS = 160
"""Places of each replica on the ring of consistent hashing, as libketama has them."""
HASHED_BLOCKS = 2
"""How much of a prompt consistent hashing looks at: some hundred tokens, as gateways that hash a prefix do."""


class Chooser(Protocol):
    """Picks one of the seats, of which there is at least one."""

    def choose(self, seats: Sequence[Seat], ask: Ask) -> Seat: ...


class RoundRobin:
    """One after the other."""

    def __init__(self) -> None:
        self._turn = count()

    def choose(self, seats: Sequence[Seat], ask: Ask) -> Seat:  # noqa: ARG002 - the same for all
        return seats[next(self._turn) % len(seats)]


class LeastLoaded:
    """Where this gateway has least under way; ties go round."""

    def __init__(self) -> None:
        self._turn = count()

    def choose(self, seats: Sequence[Seat], ask: Ask) -> Seat:  # noqa: ARG002 - the same for all
        first = next(self._turn) % len(seats)
        return min((*seats[first:], *seats[:first]), key=lambda seat: seat.in_flight)


class ConsistentHash:
    """By tenant and beginning of the prompt, on a ring, so that a lost replica moves only what was its own."""

    def __init__(self) -> None:
        self._rings: dict[tuple[str, ...], list[tuple[int, int]]] = {}

    def choose(self, seats: Sequence[Seat], ask: Ask) -> Seat:
        names = tuple(seat.replica.replica_id for seat in seats)
        if names not in self._rings:
            self._rings[names] = sorted(
                (_mixed(name, point), number) for number, name in enumerate(names) for point in range(RING_POINTS)
            )
        ring = self._rings[names]
        place = bisect_left(ring, (_mixed(ask.tenant_id, *(ask.prefix or ())[:HASHED_BLOCKS]), 0))
        return seats[ring[place % len(ring)][1]]


class CacheAware:
    """As sglang-router 0.3 does it by default: to who has most of the prompt, unless loads are far apart.

    Source: sgl-project/sglang, `sgl-router/src/policies/cache_aware.rs`. What each replica has had is remembered
    without a bound, which is kinder than the original's tree.
    """

    threshold = 0.3
    apart = 64
    apart_times = 1.5

    def __init__(self) -> None:
        self._had: dict[str, set[int]] = {}

    def choose(self, seats: Sequence[Seat], ask: Ask) -> Seat:
        least = min(seats, key=lambda seat: seat.in_flight)
        most = max(seat.in_flight for seat in seats)
        seat = least
        if not (most - least.in_flight > self.apart and most > self.apart_times * least.in_flight):
            best = max(seats, key=lambda one: self._matched(one, ask))
            if self._matched(best, ask) > self.threshold * max(len(ask.prefix or ()), 1):
                seat = best
        self._had.setdefault(seat.replica.replica_id, set()).update(ask.prefix or ())
        return seat

    def _matched(self, seat: Seat, ask: Ask) -> int:
        had = self._had.get(seat.replica.replica_id, ())
        matched = 0
        for block in ask.prefix or ():
            if block not in had:
                break
            matched += 1
        return matched


class PlainFleet:
    """A `Fleet` that chooses and sends."""

    def __init__(self, clock: Clock, standing: Standing, chooser: Chooser) -> None:
        self._clock = clock
        self._standing = standing
        self._chooser = chooser
        self._pools: dict[str, list[Seat]] = {}

    def load(self, replicas: tuple[Replica, ...]) -> None:
        """These are the replicas."""
        seats = [Seat(replica) for replica in replicas if takes_new(replica)]
        for seat in seats:
            self._pools.setdefault(seat.replica.engine, []).append(seat)
        self._standing.begin(seats)

    def place_now(self, ask: Ask) -> Placement | None:
        """See the port."""
        seats = [seat for seat in self._pools[ask.pool] if seat.open and seat.replica.replica_id not in ask.tried]
        if not seats:
            raise EngineUnavailable("No engine can take this request right now. Try again shortly.", retry_after_s=2)
        seat = self._chooser.choose(seats, ask)
        seat.in_flight += 1
        ask.attempts += 1
        placement = Placement(ask, seat, self._clock.monotonic_s())
        self._standing.placed(placement)
        return placement

    async def place(self, ask: Ask, sink: Sink | None = None) -> Placement:  # noqa: ARG002 - the port's
        """See the port."""
        placement = self.place_now(ask)
        assert placement is not None  # noqa: S101 - it never waits
        return placement

    def first_byte(self, placement: Placement) -> None:
        """See the port."""
        self._standing.first_byte(placement)

    def release(self, placement: Placement, ending: Ending = Ending.GOOD) -> None:
        """See the port."""
        placement.seat.in_flight -= 1
        if ending in GAVE_NOTHING:
            placement.ask.tried |= {placement.replica.replica_id}
        self._standing.ended(placement, ending)

    def may_retry(self, ask: Ask) -> bool:
        """See the port."""
        return ask.attempts < ATTEMPTS_MAX and self._standing.may_retry(ask)

    def serves(self, pool: str) -> bool:
        """See the port."""
        return any(seat.open for seat in self._pools.get(pool, ()))


CHOOSERS: dict[str, type[RoundRobin | LeastLoaded | ConsistentHash | CacheAware]] = {
    "round-robin": RoundRobin,
    "least-loaded": LeastLoaded,
    "consistent-hash": ConsistentHash,
    "cache-aware": CacheAware,
}


def _mixed(*words: str | int) -> int:
    """The same in every process, as Python's own hash of texts is not."""
    mixed = 0
    for word in words:
        mixed = hash((mixed, int.from_bytes(word.encode()) if isinstance(word, str) else word))
    return mixed
