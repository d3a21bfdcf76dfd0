"""A gateway before a pool that fails in every way, run by a seed: the laws of routing and queue hold at every step.

    assert simulate_fleet(seed) == []  # about a millisecond; the same seed gives the same run

What is simulated is the world (`fleet_world`). The story, the fleet, its standing, its waiting room and what they stand
on are the product's own, so planting a bug there turns laws red (`fleet_bugs`).
"""

import asyncio
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import replace
from random import Random

from parvis.core.errors import Failure
from parvis.domain.fleet.ask import Ask, Ending
from parvis.domain.fleet.breaker import BreakerState
from parvis.domain.fleet.fair_queue import Bounds, Ticket
from parvis.domain.fleet.health import Life
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.domain.fleet.retry_budget import FLOOR, SHARE
from parvis.domain.fleet.seat import Placement, Seat
from parvis.domain.metering.records import Operation
from parvis.flows.fleet import ATTEMPTS_MAX, LocalFleet
from parvis.flows.ports import House
from parvis.flows.request import InferenceRequest
from parvis.flows.serve import serve
from parvis.flows.standing import TICK_S, Standing
from parvis.flows.virtual_time import VirtualLoop
from parvis.testing.fleet_world import LIVES, Client, Condition, Doorkeeper, Free, Notes, Replicas, Words
from parvis.testing.schedules import print_broken, run_schedule
from parvis.testing.simulated_world import Dice

REQUESTS_MAX = 20
COST_MAX = 12
BOUNDS = Bounds(waiting_max=10, per_tenant_max=8, tokens_max=10 * COST_MAX, wait_s_max=4.0)
DEADLINE_S = 120.0
"""Of virtual time. Whoever waits then waits for ever."""


class Clock:
    """The loop's time, from the beginning of the schedule."""

    def __init__(self) -> None:
        self._began_s = asyncio.get_running_loop().time()

    def unix_ms(self) -> int:
        return int(self.monotonic_s() * 1000)

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time() - self._began_s


class Watched(Standing):
    """The product's own, with an eye on every placement in the moment in which it is made."""

    def __init__(self, clock: Clock, world: "FleetWorld") -> None:
        super().__init__(clock)
        self._world = world
        self._trials: dict[str, Placement] = {}

    def placed(self, placement: Placement) -> None:
        name = placement.replica.replica_id
        state = self._healths[name].breaker.state
        if state is BreakerState.OPEN:
            self._world.broke(f"{name} was picked while its breaker was open")
        if state is BreakerState.HALF_OPEN and self._trials.setdefault(name, placement) is not placement:
            self._world.broke(f"{name} was picked while it was on trial")
        self._world.placed(placement)
        super().placed(placement)

    def ended(self, placement: Placement, ending: Ending) -> None:
        if self._trials.get(placement.replica.replica_id) is placement:
            del self._trials[placement.replica.replica_id]
        super().ended(placement, ending)


class FleetWorld:
    """One schedule: who is there, what happens to them, and whether a law was broken."""

    def __init__(self, seed: int) -> None:
        random = Random(seed)
        self.dice = Dice(random, random.choice((0.0, 0.02, 0.1, 0.5)))
        self.broken: list[str] = []
        self._replicas = {
            f"e-{n}": Replica(
                f"e-{n}",
                "e",
                EngineKind.VLLM,
                "http://127.0.0.1:1",
                ReplicaState.READY,
                weight=random.randint(1, 3),
                slots=random.choice((0, 1, 1, 2, 3)),
            )
            for n in range(random.randint(1, 4))
        }
        low = random.choice((0, 0, 1))
        self._tenants = [("quiet", 1), ("noisy", low), ("other", 1)][: random.randint(1, 3)]
        self.engine = Replicas(self.dice, self._left, self._heard)
        self.engine.conditions = dict.fromkeys(self._replicas, Condition.WELL)
        clock = Clock()
        self._clock = clock
        standing = Watched(clock, self)
        standing.deserted = self.engine.desert
        self.standing = standing
        self.fleet = LocalFleet(clock, standing=standing, bounds=BOUNDS, index_bytes=4096, salt=b"s" * 16)
        self.fleet.load(tuple(self._replicas.values()))
        doorkeeper = Doorkeeper(dict(self._tenants))
        self._house = House(doorkeeper, Free(), self.fleet, Notes(self.dice, self._arrived), self.engine, clock)
        self._stories: dict[str, asyncio.Task[None]] = {}
        self._on: dict[str, str] = {}
        self._answered: set[str] = set()
        self._attempts: Counter[str] = Counter()
        self._retried_s: list[float] = []
        self._passed_over: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._first_of: dict[str, Ticket] = {}

    async def live(self) -> None:
        """Everything happens; afterwards all is quiet."""
        random = self.dice.random
        fate, watch = asyncio.ensure_future(self._fate()), asyncio.ensure_future(self._watch())
        busy = random.choice((1, 20, 80, 500))
        for number in range(random.randint(1, REQUESTS_MAX)):
            self._ask(number)
            await self.dice.pause(busy)
        async with asyncio.timeout(DEADLINE_S):
            while self._stories:
                await asyncio.wait(self._stories.values())
        fate.cancel()
        watch.cancel()
        self._law_of_rest()

    # What may happen

    def _ask(self, number: int) -> None:
        random = self.dice.random
        tenant = random.choice([name for name, _ in self._tenants] + ["noisy"] * 3 * (len(self._tenants) > 1))
        request = InferenceRequest(
            request_id=f"req_{number}",
            operation=Operation.CHAT,
            credential=tenant,
            model="m",
            body=Words(random.choice("abc") * 1000),
            output_tokens_max=random.randint(1, COST_MAX // 2),
            input_bytes=random.randint(1, COST_MAX // 2),
        )
        client = Client()
        story = asyncio.ensure_future(self._serve(request, client))
        self._stories[request.request_id] = story
        story.add_done_callback(lambda done: self._ended(request.request_id, done))
        later_s = random.randrange(3000) / 1000
        if self.dice.fault():
            asyncio.get_running_loop().call_later(later_s, client.leave)
        elif self.dice.fault(0.5):
            asyncio.get_running_loop().call_later(later_s, story.cancel)

    async def _serve(self, request: InferenceRequest, client: Client) -> None:
        with suppress(Failure):
            await serve(self._house, request, client)

    def _ended(self, request_id: str, story: "asyncio.Task[None]") -> None:
        del self._stories[request_id]
        self._on.pop(request_id, None)
        if not story.cancelled() and (bug := story.exception()) is not None:
            self.broke(f"a story ended with {bug!r}")

    async def _fate(self) -> None:
        """Replicas get ill and well again, are cordoned, taken away and brought back; shares change."""
        random = self.dice.random
        while True:
            await self.dice.pause(200)
            name = random.choice(list(self._replicas))
            if self.dice.fault(3):
                self.engine.conditions[name] = random.choice(list(Condition))
            elif self.engine.conditions[name] is not Condition.WELL and random.random() < 0.2:  # noqa: PLR2004 - a share of the dice
                self.engine.conditions[name] = Condition.WELL
            if self.dice.fault():
                self._change(name)
            if self.dice.fault() and (slots := self._replicas[name].slots):
                self.fleet.learn_shares({name: random.randint(0, slots)})
            if self.dice.fault():
                self.fleet.learn_loads({name: random.randrange(4)})

    def _change(self, name: str) -> None:
        states = (ReplicaState.READY, ReplicaState.READY, ReplicaState.CORDONED, ReplicaState.DRAINING)
        self._replicas[name] = replace(self._replicas[name], state=self.dice.random.choice(states))
        listed = [one for one in self._replicas.values() if not self.dice.fault()]
        self.fleet.load(tuple(listed))

    async def _watch(self) -> None:
        """As `parvis.app.watch` does."""
        while True:
            now_s = self._clock.monotonic_s()
            for replica in self.standing.due(now_s):
                life = LIVES.get(self.engine.conditions[replica.replica_id], Life.ALIVE)
                self.standing.probed(replica.replica_id, life)
            self.standing.tick(now_s)
            self.fleet.room_was_made()
            await asyncio.sleep(TICK_S)

    # What replicas tell

    def _arrived(self, request_id: str, replica_id: str) -> None:
        self._on[request_id] = replica_id
        self._attempts[request_id] += 1
        if request_id in self._answered:
            self.broke(f"{request_id} was tried again after its first byte")
        if self._attempts[request_id] > 1:
            self._law_of_retries()
        if self._attempts[request_id] > ATTEMPTS_MAX:
            self.broke(f"{request_id} was tried {self._attempts[request_id]} times")

    def _left(self, request_id: str) -> None:
        self._on.pop(request_id, None)

    def _heard(self, request_id: str) -> None:
        self._answered.add(request_id)

    # Laws

    def step(self) -> None:
        """What holds whenever everybody waits."""
        there = Counter(self._on.values())
        for seat in self.fleet.seats():
            name = seat.replica.replica_id
            if seat.in_flight != there.pop(name, 0):
                self.broke(f"{name} has other requests than its seat says")
        if there.total() or self.fleet.in_flight != len(self._on):
            self.broke("requests are on replicas of which no seat knows")
        free = [seat for seat in self.fleet.seats() if _free(seat)]
        for ticket in self._waiting():
            if any(seat.replica.replica_id not in ticket.ask.tried for seat in free):
                self.broke("somebody waits while there is room")

    def placed(self, placement: Placement) -> None:
        """What holds of each placement, in its moment: its seat has been counted up already."""
        seat, ask = placement.seat, placement.ask
        name = seat.replica.replica_id
        if seat.slots and seat.in_flight > max(0, seat.slots):
            self.broke(f"{name} has {seat.in_flight} of ours, and {max(0, seat.slots)} slots are")
        if seat.replica.state is not ReplicaState.READY or not seat.takes_new:
            self.broke(f"{name} was picked while it takes nothing new")
        if name in ask.tried:
            self.broke(f"{name} was asked twice by one request")
        self._law_of_order(ask, name)
        self._law_of_turns(ask)
        if self.dice.fault(0.2):  # in the moment between a turn and who hears of it
            asyncio.get_running_loop().call_soon(self._stories[ask.request_id].cancel)

    def _law_of_order(self, ask: Ask, name: str) -> None:
        """Within a tenant and a priority those go first that came first, unless this replica has refused them."""
        for ticket in self._waiting():
            if ticket.ask is ask:
                break
            same = (ticket.ask.tenant_id, ticket.ask.priority) == (ask.tenant_id, ask.priority)
            if same and not ticket.ask.tried:
                self.broke(f"{ask.tenant_id}: one that came later goes first, to {name}")

    def _law_of_turns(self, ask: Ask) -> None:
        """Between two of a tenant's turns no other of its priority gets more than a largest request of each.

        Start-time fair queueing promises that of any span in which somebody waits (Goyal, Vin, Cheng 1996).
        """
        first: dict[str, Ticket] = {}
        for ticket in self._waiting():
            if ticket.ask is not ask and ticket.ask.priority == ask.priority and not ticket.ask.tried:
                first.setdefault(ticket.ask.tenant_id, ticket)
        for tenant in [name for name in self._passed_over if first.get(name) is not self._first_of.get(name)]:
            del self._passed_over[tenant]
        self._first_of = first
        self._passed_over.pop(ask.tenant_id, None)
        for tenant in first.keys() - {ask.tenant_id}:
            self._passed_over[tenant][ask.tenant_id] += ask.tokens
            if self._passed_over[tenant][ask.tenant_id] > 2 * COST_MAX:
                self.broke(f"{ask.tenant_id} has turn after turn while {tenant} waits")

    def _law_of_retries(self) -> None:
        """Second attempts are within their budget, in any ten seconds."""
        now_s = self._clock.monotonic_s()
        self._retried_s = [*(at_s for at_s in self._retried_s if at_s > now_s - 9.0), now_s]
        if len(self._retried_s) > max(FLOOR, SHARE * len(self._attempts)):
            self.broke(f"{len(self._retried_s)} second attempts in ten seconds")

    def _law_of_rest(self) -> None:
        """Nothing is counted when nobody is served."""
        self.step()
        if self._waiting() or self.fleet.in_flight or any(seat.in_flight for seat in self.fleet.seats()):
            self.broke(f"{self.fleet.in_flight} in flight when nobody is served")

    def _waiting(self) -> list[Ticket]:
        """Those that wait, in the order in which they came."""
        line = self.fleet.room._lines.get("e")  # noqa: SLF001 - a law looks into the room
        return [] if line is None else list(line.queue._tickets)  # noqa: SLF001 - laws look inside

    def broke(self, law: str) -> None:
        if law not in self.broken:
            self.broken.append(law)


def _free(seat: Seat) -> bool:
    """Whether one more may go there now. Said again, so that it is believed of nobody."""
    if seat.replica.state is not ReplicaState.READY or not seat.takes_new or not seat.open:
        return False
    return seat.slots == 0 or seat.in_flight < seat.slots * seat.pace or (seat.slots > 0 and seat.in_flight == 0)


def simulate_fleet(seed: int, loop: VirtualLoop | None = None) -> list[str]:
    """Run one schedule; the laws that it broke. A loop may be used again and again."""
    return run_schedule(FleetWorld, seed, loop)


if __name__ == "__main__":
    print_broken(FleetWorld)
