"""The replicas that this gateway may use: it owns their seats, and `domain.fleet.routing` decides among them."""

import os
from collections.abc import Iterator, Mapping, Sequence

from parvis.core.clock import Clock, SystemClock
from parvis.core.errors import EngineUnavailable
from parvis.domain.fleet.ask import GAVE_NOTHING, Ask, Ending
from parvis.domain.fleet.explained import Explained, explain
from parvis.domain.fleet.fair_queue import Bounds
from parvis.domain.fleet.prefix import PrefixIndex, read_prompt, secret_of
from parvis.domain.fleet.replica import Replica, ReplicaState
from parvis.domain.fleet.routing import (
    ALONE,
    BUSY,
    NOBODY,
    NOTHING_KNOWN,
    Choice,
    Known,
    Weights,
    barred_by,
    compare,
    pick,
)
from parvis.domain.fleet.seat import NO_SLOTS, Placement, Seat
from parvis.flows.decisions import Decisions
from parvis.flows.ports import Sink
from parvis.flows.standing import Standing
from parvis.flows.waiting import WaitingRoom

ATTEMPTS_MAX = 3
"""Replicas tried for one request, all before its first byte."""
DROPS_MAX = 2
"""After so many of them hung up on it, no other one is tried: perhaps it is what kills them."""
READ_MAX = 1 << 15
"""Blocks of one seat, after which those of all count for half: what was read long ago has left its cache."""
NUMBERS = (1 << 16) - 1
"""Of replicas in the index: after so many others one comes back, and what is left of the old one is long gone."""
NOTHING_FOUND: Mapping[int, int] = {}
_RUNNING = frozenset({ReplicaState.READY, ReplicaState.CORDONED, ReplicaState.DRAINING})


class _Pool:
    """The seats of one pool; the order in which equals are preferred goes round."""

    __slots__ = ("only", "replicas", "seats", "turn")

    def __init__(self, seats: list[Seat]) -> None:
        self.seats = seats
        self.only = len(seats) == 1
        self.replicas = tuple(seat.replica for seat in seats)
        self.turn = 0
        """Where in `replicas` the first of `seats` is."""

    def rotate(self) -> None:
        """Another one is first."""
        self.seats.append(self.seats.pop(0))
        self.turn = (self.turn + 1) % len(self.replicas)


class LocalFleet:
    """The `Fleet` of a gateway."""

    def __init__(
        self,
        clock: Clock | None = None,
        weights: Weights | None = None,
        *,
        standing: Standing | None = None,
        bounds: Bounds | None = None,
        index_bytes: int = 64_000_000,
        salt: bytes = b"",
    ) -> None:
        """Without a standing all seats stay as they are; without a salt nobody can foretell the prompts' hashes."""
        self.hedge_after_s = 0.0
        self._alone = False
        self._clock = clock or SystemClock()
        self._weights = weights or Weights()
        self._standing = standing
        self._salt = salt or os.urandom(16)
        self._index: PrefixIndex | None = None
        self._index_bytes = index_bytes
        self._numbers = 0
        self._shares: Mapping[str, int] = {}
        self._seats: dict[str, Seat] = {}
        self._pools: dict[str, _Pool] = {}
        self._sleepers: dict[str, list[Replica]] = {}
        """By pool: what stands for replicas that are loaded when requests wait for them. They have no seats."""
        self._in_flight = 0
        self._decisions = Decisions()
        self.room = WaitingRoom(self._place, self.release, self._clock, bounds)

    def renew(self, weights: Weights, bounds: Bounds | None = None) -> None:
        """From now on these hold, for those that wait too."""
        self._weights = weights
        for pool in self._pools.values():
            compare(pool.seats, weights)
        if bounds is not None:
            self.room.renew(bounds)

    # What it is told

    def load(self, replicas: tuple[Replica, ...]) -> None:
        """Replace the list; requests under way keep their guard by their seat."""
        before, self._seats = self._seats, {}
        pools: dict[str, list[Seat]] = {}
        self._sleepers = {}
        for replica in replicas:
            if replica.state is ReplicaState.ASLEEP:
                self._sleepers.setdefault(replica.engine, []).append(replica)
                continue
            seat = self._seated(before.get(replica.replica_id), replica)
            self._seats[replica.replica_id] = seat
            pools.setdefault(replica.engine, []).append(seat)
        self._pools = {pool: _Pool(seats) for pool, seats in pools.items()}
        for seats in pools.values():
            compare(seats, self._weights)
        if self._standing is not None:
            self._standing.begin([seat for seat in self._seats.values() if seat.replica.state in _RUNNING])
        for replica_id, seat in before.items():
            if replica_id not in self._seats and seat.in_flight:
                seat.takes_new = False
                self._seats[replica_id] = seat
        self.room_was_made()

    def _seated(self, seat: Seat | None, replica: Replica) -> Seat:
        if seat is None:
            seat = Seat(replica)
            seat.slots = self._share_of(replica)
            return seat
        was = seat.replica
        if was.address != replica.address or was.state not in _RUNNING:
            seat.number = 0
        if was.slots != replica.slots:
            seat.slots = self._share_of(replica)
        seat.seat(replica)
        return seat

    def _share_of(self, replica: Replica) -> int:
        """As it was told last, perhaps before the replica was; all of its slots where nobody shares them."""
        share = self._shares.get(replica.replica_id) if replica.slots else 0
        return replica.slots if share is None else share or (NO_SLOTS if replica.slots else 0)

    def learn_loads(self, loads: Mapping[str, int]) -> None:
        """By replica id: requests of everybody that each has, running and waiting, as it said lately."""
        for replica_id, jobs in loads.items():
            if (seat := self._seats.get(replica_id)) is not None:
                seat.elsewhere = max(0, jobs - seat.most)
                seat.most = seat.in_flight

    def learn_company(self, gateways: int) -> None:
        """So many serve, this one included; 0: nobody knows. Alone, it need not agree with others on homes."""
        self._alone = gateways == 1

    def learn_shares(self, shares: Mapping[str, int]) -> None:
        """By replica id: how many requests side by side are ours, of those whose slots are shared; 0: none."""
        self._shares = shares
        for replica_id, slots in shares.items():
            if (seat := self._seats.get(replica_id)) is not None:
                seat.slots = slots or NO_SLOTS
        self.room_was_made()

    def forget(self, replica_id: str) -> None:
        """It was started anew: its cache is empty."""
        if (seat := self._seats.get(replica_id)) is not None:
            seat.number = 0

    def room_was_made(self) -> None:
        """Seats have changed: who waits looks again."""
        self.room.next_everywhere()

    # Requests

    def place_now(self, ask: Ask) -> Placement | None:
        """See the port."""
        return None if self.room.busy(ask.pool) else self._place(ask)

    async def place(self, ask: Ask, sink: Sink | None = None) -> Placement:
        """See the port."""
        return await self.room.wait(ask, sink)

    def _place(self, ask: Ask) -> Placement | None:
        """The same without a look at who waits."""
        pool = self._pools.get(ask.pool)
        choice = _NOT_THERE if pool is None else self._choose(pool, ask)
        if choice.picked == NOBODY:
            self._wait_for_sleepers(ask.pool)
        if choice.picked < 0 or pool is None:
            return None
        seat = pool.seats[choice.picked]
        seat.in_flight += 1
        seat.most = max(seat.most, seat.in_flight)
        self._in_flight += 1
        ask.attempts += 1
        placement = Placement(ask, seat, self._clock.monotonic_s())
        if ask.prefix:
            self._remember(ask.prefix, seat)
        if seat.probing:
            seat.open = False  # one may try
        if self._standing is not None:
            self._standing.placed(placement)
        return placement

    def _wait_for_sleepers(self, pool: str) -> None:
        """Return if somebody of the pool is loaded when requests wait for it. Raises EngineUnavailable."""
        sleepers = self._sleepers.get(pool)
        if sleepers is None:
            raise EngineUnavailable("No engine can take this request right now. Try again shortly.", retry_after_s=2)
        if all(one.failed for one in sleepers):
            raise EngineUnavailable(
                "This model could not be loaded. The operator sees why, and it is tried again; come back in 30 s.",
                code="model_not_loaded",
                retry_after_s=30,
            )

    def _choose(self, pool: _Pool, ask: Ask) -> Choice:
        if not pool.only:
            pool.rotate()
        choice = ALONE if pool.only and not barred_by(pool.seats[0], ask.tried) else self._weigh(pool.seats, ask)
        if ask.request_id:
            self._decisions.note(ask.request_id, ask.pool, pool.replicas, pool.turn, choice, self._weights)
        return choice

    def _weigh(self, seats: Sequence[Seat], ask: Ask) -> Choice:
        return pick(seats, ask.tried, self._weights, self._known(seats, ask))

    def _known(self, seats: Sequence[Seat], ask: Ask) -> Known:
        """Of its prompt, where that makes a difference."""
        if ask.prefix is None:
            if not self._weights.prefix or not self._index_bytes or not _several(seats):
                return NOTHING_KNOWN
            secret = secret_of(self._salt, ask.pool, ask.tenant_id)
            prompt = read_prompt(tuple(ask.texts()), secret, ask.tenant_id)
            ask.prefix, ask.common, ask.home = prompt.blocks, prompt.common, prompt.home
        found = NOTHING_FOUND if self._index is None else self._index.find(ask.prefix)
        return Known(found, len(ask.prefix), ask.common, 0 if self._alone else ask.home)

    def _remember(self, prefix: tuple[int, ...], seat: Seat) -> None:
        """It will have read this before it reads what comes next: so those that come at once find it, too."""
        if self._index is None:
            self._index = PrefixIndex(self._index_bytes)
        if not seat.number:
            self._numbers = self._numbers % NUMBERS + 1
            seat.number = self._numbers
        seat.read += self._index.note(prefix, seat.number)
        if seat.read > READ_MAX:
            for one in self._seats.values():
                one.read >>= 1

    def first_byte(self, placement: Placement) -> None:
        """See the port."""
        if self._standing is not None:
            self._standing.first_byte(placement)

    def release(self, placement: Placement, ending: Ending = Ending.GOOD) -> None:
        """See the port."""
        placement.seat.in_flight -= 1
        self._in_flight -= 1
        if ending in GAVE_NOTHING:
            placement.ask.tried |= {placement.replica.replica_id}
            placement.ask.drops += ending is Ending.DROPPED
        if self._standing is not None:
            self._standing.ended(placement, ending)
        if self.room.busy(placement.ask.pool):
            self.room.next(placement.ask.pool)

    def may_retry(self, ask: Ask) -> bool:
        """See the port."""
        if ask.attempts >= ATTEMPTS_MAX or ask.drops >= DROPS_MAX:
            return False
        return self._standing is None or self._standing.may_retry(ask)

    # What it tells

    def explained(self, request_id: str) -> Explained | None:
        """The last decision about a request, with each candidate as it was; None when it is long ago."""
        return self._decisions.find(request_id)

    def explain(self, ask: Ask) -> Explained:
        """What would be decided now. Nothing changes."""
        pool = self._pools.get(ask.pool)
        if pool is None:
            choice = _ASLEEP if self.serves(ask.pool) else _NOT_THERE
            return explain(ask.request_id, ask.pool, choice, (), self._weights)
        replicas = [seat.replica for seat in pool.seats]
        return explain(ask.request_id, ask.pool, self._weigh(pool.seats, ask), replicas, self._weights)

    def serves(self, pool: str) -> bool:
        """See the port."""
        there = self._pools.get(pool)
        if there is not None and any(seat.open and seat.takes_new for seat in there.seats):
            return True
        return any(not one.failed for one in self._sleepers.get(pool, ()))

    def uses(self, replica_id: str) -> bool:
        """Whether a request is on this replica, or one may still come to it."""
        seat = self._seats.get(replica_id)
        return seat is not None and (seat.in_flight > 0 or seat.takes_new)

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def seats(self) -> Iterator[Seat]:
        """Those of replicas that are known, or still have a request of ours."""
        return iter(self._seats.values())


_NOT_THERE = Choice(NOBODY, [], {})
_ASLEEP = Choice(BUSY, [], {})


def _several(seats: Sequence[Seat]) -> bool:
    """Whether more than one could be picked."""
    found = 0
    for seat in seats:
        found += seat.open and seat.takes_new
        if found > 1:
            return True
    return False
