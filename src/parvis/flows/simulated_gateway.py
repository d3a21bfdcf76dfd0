"""One gateway of a simulation: the real fleet, standing and throttle, on virtual time, and what watches over them.

What is real here: `LocalFleet` with its scores, prefix index and fair queue, `Standing` with health, breakers and retry
budget, `LeasedThrottle`. What stands in: the loop of looks (`app.watch`), which asks modelled replicas.
"""

import asyncio
import random
from collections.abc import Mapping

from parvis.core.clock import Clock
from parvis.domain.fleet.health import Life
from parvis.domain.fleet.replica import Replica
from parvis.domain.fleet.routing import Weights
from parvis.domain.fleet.shares import Need
from parvis.flows.fleet import LocalFleet
from parvis.flows.simulated_limits import HeldLimits
from parvis.flows.simulated_policies import CHOOSERS, PlainFleet
from parvis.flows.simulated_replica import SimulatedReplica
from parvis.flows.standing import Standing
from parvis.flows.throttle import LeasedThrottle

LOOK_S = 1.0
"""Between two looks at one replica, a quarter more or less; and how long one waits for an answer."""
JITTER = 0.25
OURS = "parvis"
POLICIES = (OURS, *CHOOSERS)
INDEX_BYTES = 16_000_000
_SALT = b"the same in every run"


class SimulatedGateway:
    """Who decides. It runs on the loop of its simulation."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        dice: random.Random,
        policy: str = OURS,
        weights: Weights | None = None,
        limits: HeldLimits | None = None,
    ) -> None:
        self.name = name
        self.standing = Standing(clock)
        self.ours: LocalFleet | None = None
        self.fleet: LocalFleet | PlainFleet
        if policy == OURS:
            self.ours = LocalFleet(clock, weights, standing=self.standing, index_bytes=INDEX_BYTES, salt=_SALT)
            self.fleet = self.ours
        else:
            self.fleet = PlainFleet(clock, self.standing, CHOOSERS[policy]())
        self.throttle: LeasedThrottle | None = None
        if limits is not None:
            self.throttle = LeasedThrottle(limits, clock)
            self.throttle.learn(limits)
        self._clock = clock
        self._dice = dice
        self._engines: Mapping[str, SimulatedReplica] = {}
        self._next_s: dict[str, float] = {}

    def load(self, replicas: tuple[Replica, ...], engines: Mapping[str, SimulatedReplica]) -> None:
        """These are the replicas."""
        self._engines = engines
        self.standing.deserted = lambda replica_id: engines[replica_id].desert()
        self.fleet.load(replicas)

    # What watches

    def tick(self) -> None:
        """Four times a second: let time pass, and look at those that showed no sign of life."""
        now_s = self._clock.monotonic_s()
        self.standing.tick(now_s)
        for replica in self.standing.due(now_s):
            if now_s >= self._next_s.get(replica.replica_id, 0.0):
                self._look(replica.replica_id, now_s)
        if self.ours is not None:
            self.ours.room_was_made()

    def _look(self, replica_id: str, now_s: float) -> None:
        life = self._engines[replica_id].life()
        if life is None:
            self._next_s[replica_id] = now_s + LOOK_S
            asyncio.get_running_loop().call_later(LOOK_S, self._silent, replica_id)
            return
        self._next_s[replica_id] = now_s + LOOK_S * self._dice.uniform(1 - JITTER, 1 + JITTER)
        self.standing.probed(replica_id, life)

    def _silent(self, replica_id: str) -> None:
        self.standing.probed(replica_id, self._engines[replica_id].life() or Life.SILENT)

    # What control hears and tells, each second

    def needs(self) -> dict[str, Need]:
        """What it has to do in each pool."""
        if self.ours is None:
            return {}
        running: dict[str, int] = {}
        for seat in self.ours.seats():
            running[seat.replica.engine] = running.get(seat.replica.engine, 0) + seat.in_flight
        waiting = self.ours.room.backlogs()
        return {
            pool: Need(
                count, waiting[pool].requests if pool in waiting else 0, waiting[pool].tenants if pool in waiting else 0
            )
            for pool, count in running.items()
        }

    def in_flight(self) -> dict[str, int]:
        """Its requests on each replica."""
        return {} if self.ours is None else {one.replica.replica_id: one.in_flight for one in self.ours.seats()}

    def learn_company(self, gateways: int) -> None:
        """See `LocalFleet.learn_company`."""
        if self.ours is not None:
            self.ours.learn_company(gateways)

    def learn_loads(self, loads: Mapping[str, int]) -> None:
        """See `LocalFleet.learn_loads`."""
        if self.ours is not None:
            self.ours.learn_loads(loads)
