"""The eyes of a gateway on its replicas: looks at those that show no sign of life, ends what stalls, lets time pass."""

import asyncio
import logging
from collections.abc import Callable
from random import Random

from parvis.adapters.engines.openai_http import HttpEngine
from parvis.adapters.link.messages import FleetSeen, SeatSeen
from parvis.core.clock import Clock
from parvis.domain.fleet.health import Life
from parvis.domain.fleet.replica import Replica
from parvis.domain.fleet.seat import Seat
from parvis.flows.fleet import LocalFleet
from parvis.flows.standing import TICK_S, Standing

SWEEP_S = 1.0
LOOK_S = 1.0
"""Between two looks at one replica, a quarter more or less, so that many gateways do not look at once."""
JITTER = 0.25
TELL_S = 1.0
LOOKS_MAX = 64
"""At a time."""
_log = logging.getLogger("parvis.fleet")


class Watch:
    """Runs for ever beside the requests of a gateway."""

    def __init__(
        self,
        standing: Standing,
        engine: HttpEngine,
        fleet: LocalFleet,
        clock: Clock,
        tell: Callable[[FleetSeen], None],
    ) -> None:
        """`tell` reaches control, as soon as a replica opens or closes, and each second."""
        self._standing = standing
        self._engine = engine
        self._fleet = fleet
        self._clock = clock
        self._dice = Random()  # noqa: S311 - for spreading only
        self._looking: dict[str, asyncio.Task[None]] = {}
        self._next_s: dict[str, float] = {}
        self._swept_s = 0.0
        self._tell = tell
        self._told: tuple[float, dict[str, bool]] = (0.0, {})
        self._tried: set[str] = set()
        self._logged: dict[str, str] = {}
        """Of those that are left alone: why, as the log has it."""
        self.stall_s_max = 60.0
        """As `routing.stall_s_max`."""
        standing.deserted = self._deserted

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self._turn(self._clock.monotonic_s())
                await asyncio.sleep(TICK_S)
        finally:
            for task in self._looking.values():
                task.cancel()

    def _deserted(self, replica_id: str) -> None:
        """It does not live: what waits there goes elsewhere, and what it had read is lost."""
        self._engine.stalls.desert(replica_id)
        self._fleet.forget(replica_id)

    def _turn(self, now_s: float) -> None:
        if now_s - self._swept_s >= SWEEP_S:
            self._swept_s = now_s
            known = {seat.replica.replica_id for seat in self._standing.seats}
            self._engine.keep(known)
            self._next_s = {name: next_s for name, next_s in self._next_s.items() if name in known}
            self._logged = {name: why for name, why in self._logged.items() if name in known}
            for replica_id in self._engine.stalls.sweep(now_s, self.stall_s_max):
                self._standing.moved(replica_id)
        self._standing.tick(now_s)
        self._fleet.room_was_made()
        self._tell_control(now_s)
        self._log_who_is_left_alone()
        for replica in self._standing.due(now_s):
            name = replica.replica_id
            if len(self._looking) < LOOKS_MAX and name not in self._looking and now_s >= self._next_s.get(name, 0.0):
                self._looking[name] = asyncio.create_task(self._look(replica))

    def _tell_control(self, now_s: float) -> None:
        seats = self._standing.seats
        told_s, told = self._told
        now = {seat.replica.replica_id: seat.open and not seat.probing for seat in seats}
        if now != told or now_s - told_s >= TELL_S:
            self._told = now_s, now
            self._tell(FleetSeen([_seen(seat) for seat in seats]))

    def _log_who_is_left_alone(self) -> None:
        """Once each time that one closes; and when it was tried in vain for another reason than before."""
        seats = self._standing.seats
        for seat in seats:
            name = seat.replica.replica_id
            if seat.probing:
                continue
            if seat.open:
                self._logged.pop(name, None)
            elif name not in self._logged or (name in self._tried and self._logged[name] != seat.why):
                _log.warning("a replica is left alone", extra={"replica": name, "reason": seat.why})
                self._logged[name] = seat.why
        self._tried = {seat.replica.replica_id for seat in seats if seat.probing}

    async def _look(self, replica: Replica) -> None:
        """One look; a second one follows at once where the first got no answer."""
        name = replica.replica_id
        try:
            look = await self._engine.prober.look(replica)
            again = look is not None and look.life is Life.SILENT
            pause_s = 0.0 if again else LOOK_S * self._dice.uniform(1 - JITTER, 1 + JITTER)
            self._next_s[name] = self._clock.monotonic_s() + pause_s
            if look is not None:
                self._standing.probed(name, look.life, look.why)
        finally:
            del self._looking[name]


def _seen(seat: Seat) -> SeatSeen:
    replica_id = seat.replica.replica_id
    return SeatSeen(replica_id, seat.open, seat.probing, seat.pace, seat.why, seat.in_flight, seat.first_byte_ms)
