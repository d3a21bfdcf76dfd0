"""Control's part of deployments: what operators want, followed in the store, and the replicas that come of it.

Addresses become replicas here. Engine processes are the supervisor's, which asks for `word` again and again; what it
runs it tells. Over both lies what the operator says of deployments and of single replicas.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import msgspec

from parvis.adapters.engines.tls import engine_context
from parvis.adapters.engines.weights import locate
from parvis.app.child import Word
from parvis.app.replicas import engine_key
from parvis.core.clock import Clock
from parvis.core.errors import Conflict, Failure, Misconfigured, NotFound, Unavailable
from parvis.domain.fleet.demand import Demand, sleeper, sleeper_id
from parvis.domain.fleet.deployment import (
    Address,
    Deployment,
    DeploymentState,
    Source,
    Wanted,
    as_wanted,
    replicas_at_addresses,
)
from parvis.domain.fleet.replica import Replica, ReplicaState
from parvis.flows.deployment_store import DeploymentStore
from parvis.flows.deployments import forget_stopped
from parvis.settings import EngineSettings, Settings

LOOK_INTERVAL_S = 0.5
"""After this long control knows what another control was told."""
DRAIN_S_MIN = 3.0
"""By then every gateway knows of it, and has told what still runs."""
FORGET_S = 60.0
"""After this long a replica that nobody knows is gone for good, and so is what was said of it."""
KEYS_FOLDER = "engine-keys"
_log = logging.getLogger("parvis.control")


class Deployed:
    """Of a control that acts. What it knows changes in `look` alone."""

    def __init__(
        self,
        home: Path,
        store: DeploymentStore,
        clock: Clock,
        runs: Callable[[], tuple[Replica, ...]],
        in_flight: Callable[[str], int],
        announce: Callable[[], Awaitable[None]],
    ) -> None:
        """`runs`: replicas that others have told of; `in_flight`: requests on a replica, as gateways tell."""
        self._home = home
        self._store = store
        self._clock = clock
        self._runs = runs
        self._in_flight = in_flight
        self._announce = announce
        self.ray_address = ""
        """Of the cluster that the settings name; empty where they name none."""
        self.wanted = Wanted()
        """As it was read last."""
        self._at_addresses: tuple[Replica, ...] = ()
        self._demand = Demand()
        self._drained_s: dict[str, float] = {}
        self._unknown_s: dict[str, float] = {}
        self._turn = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Follow from now on. Who is loaded now was asked for now, as far as we know."""
        self._demand = Demand()
        self._know_demand(self.wanted)
        self._looking = asyncio.create_task(self._look_for_ever())

    async def end(self) -> None:
        """Follow no more."""
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """All that there are, as the operator wants them; what is only starting, or asleep, has no address."""
        runs = self._as_wanted((*self._runs(), *self._at_addresses))
        loading = {one.deployment_id for one in runs if one.state is ReplicaState.STARTING}
        return (*runs, *(one for one in self._sleepers() if one.deployment_id not in loading))

    @property
    def told(self) -> tuple[Replica, ...]:
        """Those that gateways must know: who can be asked, or could, and who is loaded when requests wait for it."""
        runs = self._as_wanted((*self._runs(), *self._at_addresses))
        asleep = (one for one in self._sleepers() if one.state is ReplicaState.ASLEEP)
        return (*(one for one in runs if one.address), *asleep)

    def _sleepers(self) -> tuple[Replica, ...]:
        """One for each deployment that can be loaded and is not."""
        runs = self._runs()
        mine = [[run for run in runs if run.deployment_id == one.deployment_id] for one in self.wanted.deployments]
        found = map(sleeper, self.wanted.deployments, mine)
        return self._as_wanted(one for one in found if one is not None)

    def _as_wanted(self, replicas: Iterable[Replica]) -> tuple[Replica, ...]:
        known = {one.deployment_id: one for one in self.wanted.deployments}
        return tuple(as_wanted(one, known, self.wanted.marks) for one in replicas)

    async def word(self) -> Word:
        """What the supervisor shall run. One that rests reads it for this once."""
        wanted = self.wanted if self._looking is not None else await self._store.fleet_wanted()
        self._know_demand(wanted)
        here = [self._demand.loaded(one) for one in wanted.deployments if one.source is Source.HERE]
        on_ray = [one for one in wanted.deployments if one.source is Source.RAY]
        drained = [name for name, state in wanted.marks.items() if state is ReplicaState.DRAINING]
        words = {"deployments": here, "on_ray": on_ray}
        return {**msgspec.to_builtins(words), "drained": drained}

    async def look(self) -> bool:
        """Read what is wanted. Whether it is other than before. Raises Unavailable."""
        async with self._turn:
            wanted = await self._store.fleet_wanted()
            found = [one for deployment in wanted.deployments for one in self._replicas_of(deployment)]
            changed = (wanted, tuple(found)) != (self.wanted, self._at_addresses)
            self.wanted, self._at_addresses = wanted, tuple(found)
            self._know_demand(wanted)
        return changed

    async def look_at(self, deployment: Deployment) -> None:
        """Whether this machine can serve it, or ask who does. Raises Misconfigured."""
        match deployment.source:
            case Source.HERE:
                await asyncio.to_thread(locate, deployment.weights, self._home / "cache")
            case Source.RAY if not self.ray_address or find_spec("ray") is None:
                raise Misconfigured("The settings name no Ray cluster (ray.address), or 'parvis[ray]' is missing.")
            case _:
                self._key_of(deployment)
                if deployment.tls is not None:
                    engine_context(deployment.tls)

    def _replicas_of(self, deployment: Deployment) -> tuple[Replica, ...]:
        """At addresses. Without the key that it needs, it takes nothing, and says why."""
        if deployment.source is not Source.ADDRESSES or deployment.state is DeploymentState.STOPPED:
            return ()
        try:
            return replicas_at_addresses(deployment, self._key_of(deployment))
        except Misconfigured as problem:
            found = replicas_at_addresses(deployment)
            state = ReplicaState.STARTING
            return tuple(replace(one, state=state, why=str(problem)) for one in found)

    def _key_of(self, deployment: Deployment) -> str:
        """Raises Misconfigured."""
        name = deployment.api_key_file
        return engine_key(str(self._home / KEYS_FOLDER / name)) if name else ""

    # What is asked for

    def waited_for(self, pools: Collection[str]) -> None:
        """Requests wait for these pools: who sleeps there shall be loaded."""
        serving = (one for one in self.wanted.deployments if one.state is DeploymentState.SERVING)
        names = [one.deployment_id for one in serving if one.pool in pools]
        free = [one for one in names if sleeper_id(one) not in self.wanted.marks]
        self._demand.asked(free, self._clock.monotonic_s())

    def answered(self, replica_ids: Collection[str]) -> None:
        """These have answered requests."""
        used = {one.deployment_id for one in self._runs() if one.replica_id in replica_ids}
        self._demand.used(used, self._clock.monotonic_s())

    def _know_demand(self, wanted: Wanted) -> None:
        running = {one.deployment_id for one in self._runs() if one.state is not ReplicaState.DRAINING}
        self._demand.know(wanted.deployments, running, self._clock.monotonic_s())

    def _rest(self) -> None:
        """Who was asked for nothing lately is unloaded; who is being loaded, or has a request, is not."""
        now_s = self._clock.monotonic_s()
        self._demand.used({one.deployment_id for one in self._runs() if self._in_use(one)}, now_s)
        self._demand.rest(self.wanted.deployments, now_s)

    def _in_use(self, replica: Replica) -> bool:
        loads = replica.state is ReplicaState.STARTING and not replica.failed
        return loads or self._in_flight(replica.replica_id) > 0

    # What follows by itself

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            try:
                if await self.look():
                    await self._announce()
                self._rest()
                await self._stop_drained()
                await self._forget_marks()
            except Unavailable:  # what was known holds on; the store's trouble is told by others
                continue
            except Failure as failure:
                _log.error("deployments are not followed", extra={"kind": failure.code, "reason": str(failure)})

    async def _stop_drained(self) -> None:
        """Deployments of which nothing runs any more."""
        draining = [one for one in self.wanted.deployments if one.state is DeploymentState.DRAINING]
        now_s = self._clock.monotonic_s()
        self._drained_s = {one.deployment_id: self._drained_s.get(one.deployment_id, now_s) for one in draining}
        for one in draining:
            if now_s - self._drained_s[one.deployment_id] >= DRAIN_S_MIN and not self._busy(one):
                try:
                    await forget_stopped(self._store, one)
                except (Conflict, NotFound):  # somebody wants something else of it by now
                    continue

    def _busy(self, deployment: Deployment) -> bool:
        """An engine process lives until nobody uses it; of a server elsewhere, gateways know."""
        mine = [one for one in self.replicas if one.deployment_id == deployment.deployment_id]
        if deployment.source is Source.ADDRESSES:
            return any(self._in_flight(one.replica_id) for one in mine)
        return bool(mine)

    async def _forget_marks(self) -> None:
        known = {one.replica_id for one in self.replicas}
        now_s = self._clock.monotonic_s()
        strange = self.wanted.marks.keys() - known
        self._unknown_s = {one: self._unknown_s.get(one, now_s) for one in strange}
        if gone := [one for one, since_s in self._unknown_s.items() if now_s - since_s > FORGET_S]:
            await self._store.forget_marks(gone)


def given_deployments(settings: Settings) -> tuple[Deployment, ...]:
    """The engines of the settings, as the operator's lists show them."""
    return tuple(_given(name, engine) for name, engine in settings.engines.items())


def _given(name: str, engine: EngineSettings) -> Deployment:
    return Deployment(
        deployment_id=name,
        pool=name,
        source=Source.HERE if engine.weights else Source.ADDRESSES,
        kind=engine.server,
        addresses=tuple(Address(url) for url in engine.addresses),
        weights=engine.weights,
        replicas=engine.replicas if engine.weights else len(engine.addresses),
        parallel=engine.parallel,
        context_tokens=engine.context_tokens,
        threads=engine.threads,
        embedding=engine.embedding,
        model=engine.model,
        engine_model=engine.engine_model,
        tls_ca=engine.tls_ca,
        tls_cert=engine.tls_cert,
        tls_key=engine.tls_key,
        tls_min=engine.tls_min,
        cache=engine.cache,
        slots=engine.slots,
    )
