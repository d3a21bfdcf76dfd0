"""A fleet on a virtual clock: modelled machines, and the real routing, queue, health and limits before them.

    figures = simulate(SERVICE, seed=7)

Everything is drawn from the seed: the same scenario and seed give the same figures, to the last digit. Time passes only
when nobody has anything to do, so an hour of a fleet takes seconds. Requests that began before the end are served out.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import cycle

from parvis.core.errors import EngineUnavailable, LimitReached, Unavailable
from parvis.domain.fleet.ask import Ask, Ending
from parvis.domain.fleet.fault_plan import draw
from parvis.domain.fleet.modelled_gpu import GpuJob
from parvis.domain.fleet.modelled_traffic import Call, generate
from parvis.domain.fleet.prefix import ENDS, Prompt
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.domain.fleet.routing import Weights
from parvis.domain.fleet.scenario import Scenario
from parvis.domain.fleet.seat import Placement
from parvis.domain.fleet.shares import SlotBook, Slots
from parvis.domain.quota.limit import Amounts
from parvis.flows.hold import Passage
from parvis.flows.simulated_figures import End, Figures, PoolFigures
from parvis.flows.simulated_gateway import OURS, SimulatedGateway
from parvis.flows.simulated_limits import HeldLimits
from parvis.flows.simulated_replica import Lost, SimulatedReplica, Visit
from parvis.flows.standing import TICK_S
from parvis.flows.virtual_time import VirtualLoop

CHARS_A_TOKEN = 4
"""About; see FACTS of the service: 'about 4 characters a token'."""
_BLOCK_ENDS = tuple(end // CHARS_A_TOKEN for end in ENDS)
_NOBODY = "No engine can take this request right now. Try again shortly."
_HOME_MASK = (1 << 30) - 1
_UNTIL_CONFIRMED = 2
"""Rounds in which gateways confirm what they gave up, and get what is free then."""


def simulate(
    scenario: Scenario,
    seed: int,
    *,
    policy: str = OURS,
    weights: Weights | None = None,
    calls: Iterable[Call] | None = None,
    progress: Callable[[float, int], None] | None = None,
) -> Figures:
    """Run a scenario to its end, on traffic of its own or on these calls, which are in their order.

    `progress` hears, once a simulated minute, how many seconds have passed and how many requests have ended.
    """
    loop = VirtualLoop()
    try:
        fleet = _SimulatedFleet(scenario, seed, loop, policy, weights)
        plans = tuple(pool.traffic for pool in scenario.pools.values())
        traffic = generate(plans, seed, scenario.seconds) if calls is None else iter(calls)
        return loop.run_until_complete(fleet.run(traffic, progress))
    finally:
        loop.clear()
        loop.close()


class _LoopClock:
    """The `Clock` of all that is simulated."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def unix_ms(self) -> int:
        return int(self._loop.time() * 1000)

    def monotonic_s(self) -> float:
        """Never zero, which some read as never."""
        return self._loop.time() + 1_000.0


class _SimulatedFleet:
    """All machines, all gateways, and what control does for them."""

    def __init__(self, scenario: Scenario, seed: int, loop: VirtualLoop, policy: str, weights: Weights | None) -> None:
        self._scenario = scenario
        self._seed = seed
        self._loop = loop
        self._pools = {name: PoolFigures() for name in scenario.pools}
        self._engines: dict[str, SimulatedReplica] = {}
        clock = _LoopClock(loop)
        hourly = scenario.output_tokens_per_hour
        limits = HeldLimits(hourly, scenario.gateways, clock) if hourly else None
        dice = random.Random(f"looks {seed}")  # noqa: S311 - for spreading only
        self._gateways = [
            SimulatedGateway(f"gateway-{number}", clock, dice, policy, weights, limits)
            for number in range(scenario.gateways)
        ]
        self._doors = cycle(self._gateways)
        self._book = SlotBook()
        self._grants = {gateway.name: 0 for gateway in self._gateways}
        self._faults = 0
        self._under_way: set[asyncio.Task[None]] = set()
        self._bugs: list[BaseException] = []

    async def run(self, calls: Iterator[Call], progress: Callable[[float, int], None] | None) -> Figures:
        """Until the last request has ended."""
        self._build()
        watchers = [self._loop.create_task(self._watch()), self._loop.create_task(self._control())]
        if progress is not None:
            watchers.append(self._loop.create_task(self._tell(progress)))
        for call in calls:
            wait_s = call.at_ms / 1000 - self._loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            task = self._loop.create_task(self._serve(next(self._doors), call))
            self._under_way.add(task)
            task.add_done_callback(self._left)
        while self._under_way:
            await asyncio.wait(self._under_way)
        if self._bugs:
            raise self._bugs[0]
        for watcher in watchers:
            watcher.cancel()
        return self._figures()

    def _left(self, task: "asyncio.Task[None]") -> None:
        """A request has ended. One that ended by what is nobody's answer met a bug: then the run does not count."""
        self._under_way.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._bugs.append(bug)

    # The machines

    def _build(self) -> None:
        replicas = []
        for pool, plan in self._scenario.pools.items():
            for number in range(plan.machines):
                name = f"{pool}-{number}"
                self._engines[name] = SimulatedReplica(name, plan.profile, self._loop)
                slots = plan.slots or plan.profile.slots
                replicas.append(Replica(name, pool, EngineKind.VLLM, f"http://{name}", ReplicaState.READY, slots=slots))
        self._book.know(Slots(one.replica_id, one.engine, one.slots) for one in replicas)
        for gateway in self._gateways:
            self._book.join(gateway.name, {})
            gateway.load(tuple(replicas), self._engines)
            gateway.learn_company(self._scenario.gateways)
        self._share_slots()
        self._plan_faults()

    def _plan_faults(self) -> None:
        engines = list(self._engines.values())
        for fault in draw(self._scenario.faults, range(len(engines)), self._seed, self._scenario.seconds):
            self._faults += 1
            self._loop.call_at(fault.at_ms / 1000, engines[fault.replica].strike, fault)

    # What runs beside the requests

    async def _watch(self) -> None:
        while True:
            for gateway in self._gateways:
                gateway.tick()
            await asyncio.sleep(TICK_S)

    async def _control(self) -> None:
        """Each second: loads of the engines to all gateways, and shares of slots by who waits where."""
        while True:
            await asyncio.sleep(1.0)
            loads = {name: engine.load for name, engine in self._engines.items() if engine.life() is not None}
            for gateway in self._gateways:
                gateway.learn_loads(loads)
            self._book.tick()
            self._share_slots()

    def _share_slots(self) -> None:
        for _ in range(_UNTIL_CONFIRMED):
            for gateway in self._gateways:
                self._book.hear(gateway.name, self._grants[gateway.name], gateway.needs(), gateway.in_flight())
            grants = self._book.rebalance()
            for grant in grants:
                self._grants[grant.gateway] = grant.number
                gateway = next(one for one in self._gateways if one.name == grant.gateway)
                if gateway.ours is not None:
                    gateway.ours.learn_shares(grant.shares)
            if not grants:
                return

    async def _tell(self, progress: Callable[[float, int], None]) -> None:
        while True:
            await asyncio.sleep(60.0)
            progress(self._loop.time(), sum(pool.requests for pool in self._pools.values()))

    # One request

    async def _serve(self, gateway: SimulatedGateway, call: Call) -> None:
        """As `flows.serve` does it: limits, then a place, then an engine, or another one before the first token."""
        figures = self._pools[call.pool]
        subjects, most = HeldLimits.subjects(str(call.tenant)), Amounts(1, call.prompt_tokens, call.output_tokens)
        passage = Passage()
        try:
            if gateway.throttle is not None:
                passage = await gateway.throttle.enter(subjects, most)
            end = await self._answer(gateway, call)
        except LimitReached:
            end = End.REFUSED
        except (EngineUnavailable, Unavailable):
            end = End.FAILED
        if gateway.throttle is not None:
            gateway.throttle.leave(passage, most if end is End.ANSWERED else Amounts(1, 0, 0))
        figures.ended(call, end)

    async def _answer(self, gateway: SimulatedGateway, call: Call) -> End:
        """Raises LimitReached, Unavailable, EngineUnavailable: why nothing was answered."""
        asked_s, fleet = self._loop.time(), gateway.fleet
        ask = Ask(call.pool, str(call.tenant), call.prompt_tokens + call.output_tokens)
        prompt = prefix_of(call)
        ask.prefix, ask.common, ask.home = prompt.blocks, prompt.common, prompt.home
        waited_s = 0.0
        while True:
            wait_from_s = self._loop.time()
            placement = fleet.place_now(ask) or await fleet.place(ask)
            waited_s += self._loop.time() - wait_from_s
            engine = self._engines[placement.replica.replica_id]
            blocks = call.blocks(engine.profile.block_tokens)
            visit = engine.visit(GpuJob(call.prompt_tokens, call.output_tokens, blocks))
            try:
                await visit.first
            except Lost:
                fleet.release(placement, Ending.UNAVAILABLE)
                if not fleet.may_retry(ask):
                    raise EngineUnavailable(_NOBODY) from None
                self._pools[call.pool].retried += 1
                continue
            fleet.first_byte(placement)
            first_ms = (self._loop.time() - asked_s) * 1000 + self._scenario.way_ms
            self._pools[call.pool].began(call, first_ms, waited_s * 1000, visit.job.cached_tokens)
            return await self._rest(gateway, placement, visit)

    async def _rest(self, gateway: SimulatedGateway, placement: Placement, visit: Visit) -> End:
        try:
            await visit.end
        except Lost:
            gateway.fleet.release(placement, Ending.BROKE)
            return End.BROKEN
        gateway.fleet.release(placement)
        return End.ANSWERED

    # What it comes to

    def _figures(self) -> Figures:
        seconds = self._loop.time()
        busy: dict[str, list[float]] = {}
        for name, engine in self._engines.items():
            engine.close()
            busy.setdefault(name.rpartition("-")[0], []).append(engine.busy_ms / 1000 / seconds if seconds else 0.0)
        return Figures(
            self._pools,
            seconds,
            self._faults,
            {pool: sum(shares) / len(shares) for pool, shares in busy.items()},
            sum(engine.preempted for engine in self._engines.values()),
        )


def prefix_of(call: Call) -> Prompt:
    """What the real index would see of a prompt: a number for each of its beginnings, as `domain.fleet.prefix` cuts."""
    whose = (call.tenant, sum(map(ord, call.pool)))
    ends = [end for end in _BLOCK_ENDS if end <= call.prompt_tokens]
    common = sum(end <= call.system_tokens for end in ends)
    blocks = [hash((*whose, call.system, -1, end)) for end in ends[:common]]
    blocks += [hash((*whose, call.conversation, end)) for end in ends[common:]]
    return Prompt(tuple(blocks), common, hash((*whose, call.system)) & _HOME_MASK | 1)
