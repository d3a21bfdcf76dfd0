"""What a gateway tells of its queues: to control, which shares slots by it, and to the operator, as measures."""

from collections import defaultdict

from parvis.adapters.link.messages import PoolBacklog
from parvis.adapters.link.slots import GatewaySlots
from parvis.flows.fleet import LocalFleet
from parvis.flows.waiting import NOTHING_WAITS

Sample = tuple[str, tuple[str, ...], int]
_MS_PER_S = 1000


class Queueing:
    """Between a fleet and its link. Of replicas whose slots nobody knows, nothing is told: nobody waits for them."""

    def __init__(self, fleet: LocalFleet, slots: GatewaySlots) -> None:
        self._fleet = fleet
        slots.in_flight, slots.pools, slots.on_shares = self.in_flight, self.pools, fleet.learn_shares
        fleet.room.on_wait = slots.hurry

    def in_flight(self) -> dict[str, int]:
        """Requests of this gateway, by replica."""
        return {seat.replica.replica_id: seat.in_flight for seat in self._fleet.seats() if seat.replica.slots}

    def pools(self) -> list[PoolBacklog]:
        """What runs and what waits, by pool."""
        running: defaultdict[str, int] = defaultdict(int)
        for seat in self._fleet.seats():
            if seat.replica.slots:
                running[seat.replica.engine] += seat.in_flight
        waiting = {pool: found for pool, found in self._fleet.room.backlogs().items() if found.requests}
        pools = [*running, *(waiting.keys() - running.keys())]  # for who sleeps, some may wait
        return [PoolBacklog(pool, running[pool], *waiting.get(pool, NOTHING_WAITS)) for pool in pools]

    def gauges(self) -> list[Sample]:
        """How many wait now."""
        backlogs = self._fleet.room.backlogs()
        return [("parvis_queue_waiting", (pool,), backlog.requests) for pool, backlog in backlogs.items()]

    def take_waits(self) -> list[Sample]:
        """How long each has waited that had its turn since the last call, in milliseconds."""
        waits = self._fleet.room.take_waits()
        return [("parvis_queue_wait_seconds", (pool,), int(waited_s * _MS_PER_S)) for pool, waited_s in waits]
