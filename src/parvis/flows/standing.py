"""How each replica stands with this gateway: hears what happens on it, and keeps its seat true.

`LocalFleet` tells of every request, the loop of probes of every look, and somebody ticks a few times a second. What
follows is written into the seats that routing reads: `open`, `probing`, `pace`, `why`, `first_byte_ms`. Nothing here
waits or asks; time comes from the clock that was given.

    standing = Standing(clock)
    standing.begin(seats)               # whenever the list of replicas is another
    standing.placed(placement)          # then first_byte, and ended once
    standing.probed("engine-0", Life.SILENT)
    standing.tick(clock.monotonic_s())
"""

from collections import Counter
from collections.abc import Callable, Iterable

from parvis.core.clock import Clock
from parvis.domain.fleet.ask import GAVE_NOTHING, TELLS_NOTHING, Ask, Ending
from parvis.domain.fleet.breaker import BreakerState
from parvis.domain.fleet.health import Health, Life, slow_ones
from parvis.domain.fleet.replica import Replica
from parvis.domain.fleet.retry_budget import RetryBudget
from parvis.domain.fleet.seat import Placement, Seat

TICK_S = 0.25
"""How often it should be ticked."""
LOOK_AFTER_S = 1.0
"""Who showed no sign of life for so long is looked at."""
Counted = tuple[str, tuple[str, ...], int]
_PERHAPS_THE_REQUEST = (Ending.BROKE, Ending.DROPPED)


class Standing:
    """The healths, breakers and the retry budget of one gateway. Costs a request less than a microsecond in all."""

    def __init__(self, clock: Clock, deserted: Callable[[str], object] = lambda _: None) -> None:
        self._clock = clock
        self.breaks = True
        """Whether failed and slow requests make a replica be left alone; looks and a refused key do in any case."""
        self.deserted = deserted
        """Told the id of a replica that does not live: what waits on it for a first byte should go elsewhere."""
        self._seats: dict[str, Seat] = {}
        self._healths: dict[str, Health] = {}
        self._addresses: dict[str, str] = {}
        self._budget = RetryBudget()
        self._ejections: Counter[str] = Counter()
        self._retries = self._refused_retries = 0

    def begin(self, seats: Iterable[Seat]) -> None:
        """These are all seats from now on. One that is known keeps its standing, unless its replica has moved."""
        now_s, before, known = self._clock.monotonic_s(), self._seats, self._healths
        self._seats = {seat.replica.replica_id: seat for seat in seats}
        self._healths = {}
        serving = {seat.replica.engine for one, seat in before.items() if one in self._seats}
        for replica_id, seat in self._seats.items():
            health = known.get(replica_id)
            if health is None or self._addresses.get(replica_id) != seat.replica.address:
                health = Health(now_s, slowly=seat.replica.engine in serving)
            self._healths[replica_id] = health
            _show(health, seat)
        self._addresses = {one: seat.replica.address for one, seat in self._seats.items()}

    # Of requests

    def placed(self, placement: Placement) -> None:
        """A request goes to a replica; its first attempt is what later ones of others are paid with."""
        if placement.ask.attempts <= 1:
            self._budget.request(placement.placed_s)
        seat = placement.seat
        if seat.probing and (health := self._healths.get(placement.replica.replica_id)) is not None:
            health.entered()
            _show(health, seat)

    def first_byte(self, placement: Placement) -> None:
        """The replica has begun to answer it."""
        placement.heard = True
        health = self._healths.get(placement.replica.replica_id)
        if health is not None:
            now_s = self._clock.monotonic_s()
            health.first_byte(now_s, (now_s - placement.placed_s) * 1000 if placement.ask.streamed else None)
            placement.seat.first_byte_ms = health.first_byte_ms

    def ended(self, placement: Placement, ending: Ending) -> None:
        """It has left the replica."""
        if placement.ask.drops > 1 and ending is Ending.DROPPED:
            ending = Ending.GOOD  # who hangs up on what another one hung up on is not to blame for it
        health = self._healths.get(placement.replica.replica_id)
        if health is None or not (health.troubled or ending not in TELLS_NOTHING):
            return
        if self.breaks or ending is Ending.KEY_REFUSED:
            seat = placement.seat
            last = ending in _PERHAPS_THE_REQUEST and self._is_last(seat)
            now_s, said = self._clock.monotonic_s(), seat.said if ending in GAVE_NOTHING else ""
            health.ended(ending, placement.placed_s, now_s, heard=placement.heard, last=last, said=said)
            self._follow(placement.replica.replica_id, seat, health)

    def _is_last(self, seat: Seat) -> bool:
        """Whether no other replica of its pool could be asked."""
        pool = seat.replica.engine
        others = (one for one in self._seats.values() if one is not seat and one.replica.engine == pool)
        return not any(one.open and one.takes_new for one in others)

    def may_retry(self, ask: Ask) -> bool:  # noqa: ARG002 - who asks makes no difference to the budget
        """Whether one more attempt is within the budget; if so it is spent."""
        if self._budget.spend(self._clock.monotonic_s()):
            self._retries += 1
            return True
        self._refused_retries += 1
        return False

    # Of looks

    def due(self, now_s: float) -> list[Replica]:
        """Whom somebody should look at now: who is left alone, and who showed no sign of life lately."""
        return [
            seat.replica
            for replica_id, seat in self._seats.items()
            if self._healths[replica_id].breaker.state is not BreakerState.CLOSED
            or now_s - self._healths[replica_id].sign_s >= LOOK_AFTER_S
        ]

    def probed(self, replica_id: str, life: Life, said: str = "") -> None:
        """What a look at it showed; `said`: why it is not well, where that is known."""
        health = self._healths.get(replica_id)
        if health is not None:
            health.probed(life, self._clock.monotonic_s(), said)
            self._follow(replica_id, self._seats[replica_id], health)
            if health.gone:
                self.deserted(replica_id)

    def moved(self, replica_id: str) -> None:
        """Answers that it has begun go on."""
        health = self._healths.get(replica_id)
        if health is not None:
            health.moved(self._clock.monotonic_s())

    # Of time

    def tick(self, now_s: float) -> None:
        """Let pauses end, healed replicas take more, and those be left that are far slower than their pool."""
        pools: dict[str, list[Health]] = {}
        for replica_id, health in self._healths.items():
            seat = self._seats[replica_id]
            if not health.quiet:
                health.tick(now_s)
                _show(health, seat)
            pools.setdefault(seat.replica.engine, []).append(health)
        for pool in pools.values():
            if all(health.breaker.state is BreakerState.OPEN for health in pool):
                for health in pool:
                    health.breaker.hurry()
            elif len(pool) > 1 and self.breaks:
                self._leave_slow_ones(pool, now_s)

    def _leave_slow_ones(self, pool: list[Health], now_s: float) -> None:
        for health, others_ms in slow_ones(pool, now_s):
            health.leave_as_slow(now_s, others_ms)
            replica_id = next(one for one, known in self._healths.items() if known is health)
            self._follow(replica_id, self._seats[replica_id], health)

    # What it comes to

    @property
    def seats(self) -> list[Seat]:
        """All of them, as they are now."""
        return list(self._seats.values())

    def take_counts(self) -> list[Counted]:
        """Counters since the last take: (name, labels, amount)."""
        counts: list[Counted] = [("parvis_ejections_total", (one,), n) for one, n in self._ejections.items()]
        for verdict, amount in (("made", self._retries), ("over budget", self._refused_retries)):
            if amount:
                counts.append(("parvis_retries_total", (verdict,), amount))
        self._ejections.clear()
        self._retries = self._refused_retries = 0
        return counts

    def _follow(self, replica_id: str, seat: Seat, health: Health) -> None:
        """Write its state into its seat; count when that is news."""
        if health.breaker.state is BreakerState.OPEN and (seat.open or seat.probing):
            self._ejections[replica_id] += 1
        _show(health, seat)


def _show(health: Health, seat: Seat) -> None:
    breaker = health.breaker
    seat.open = breaker.lets_in
    seat.probing = breaker.state is BreakerState.HALF_OPEN
    seat.pace = health.pace
    seat.why = health.why
    seat.first_byte_ms = health.first_byte_ms
