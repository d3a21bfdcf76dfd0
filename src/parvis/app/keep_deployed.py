"""The supervisor's side of deployments that run here: engine processes, started, drained and ended as is wanted.

What is wanted control knows, and is asked again and again: whoever has died in the meantime, the next look puts it
right. Which steps follow from it is decided by `parvis.domain.fleet.rollout`.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from parvis.app.crew import Child, Crew, Post
from parvis.app.engine_start import EngineWork, Started, start_engine
from parvis.app.room import has_room_for_another
from parvis.core.errors import Misconfigured
from parvis.domain.fleet.deployment import Deployment, suffixed
from parvis.domain.fleet.replica import Replica, ReplicaState
from parvis.domain.fleet.rollout import Running, wanted_changes

END_S_MAX = 5.0
USE_POLL_S = 0.5
Uses = Callable[[str], Awaitable[bool]]
Start = Callable[[EngineWork], Awaitable[Started]]
_log = logging.getLogger("parvis.supervisor")


class Berth:
    """The place of one engine process. Who dies in it is followed by another, which is another replica."""

    def __init__(self, deployment: Deployment, number: int, start: Start, changed: Callable[[], None]) -> None:
        self.deployment = deployment
        """As it was when this was started."""
        self.number = number
        """No other berth has it: it decides about cores."""
        self.tried = asyncio.Event()
        """The first start has succeeded or failed."""
        self._start = start
        self._changed = changed
        self.replica = self._new_replica("Its weights are being loaded.")
        self._post = Post(f"engine of {deployment.deployment_id}", self._fill, self._moved)
        self._post.fill_sometime()

    @property
    def running(self) -> Running:
        """As a roll-out sees it."""
        one = self.replica
        return Running(one.replica_id, one.deployment_id, self.deployment.recipe, one.state)

    @property
    def pid(self) -> int | None:
        """Of the process, where one serves."""
        child = self._post.child
        return None if child is None else child.pid

    @property
    def post(self) -> Post:
        """Who serves has it."""
        return self._post

    def leave(self) -> Child | None:
        """Nobody is started any more. Gives who serves, and may still be asked."""
        self.replica = replace(self.replica, state=ReplicaState.DRAINING, why="It ends when its last answer has.")
        return self._post.leave_open()

    async def _fill(self) -> Child:
        one = self.deployment
        work = EngineWork(
            one.weights,
            one.alias,
            one.embedding,
            one.parallel,
            one.context_tokens,
            one.threads,
            one.kind,
            self.number,
        )
        try:
            started = await self._start(work)
        except Misconfigured as problem:
            self.replica = replace(self.replica, why=str(problem), failed=True)
            _log.warning("a replica does not start", extra={"reason": str(problem)})
            self._changed()
            raise
        finally:
            self.tried.set()
        address, api_key = started.address, started.api_key
        ready = replace(self.replica, state=ReplicaState.READY, address=address, api_key=api_key)
        self.replica = replace(ready, why="", failed=False)
        return started.child

    def _moved(self) -> None:
        """Somebody has the post, or nobody has it any more."""
        if self._post.child is None and self.replica.state is ReplicaState.READY:
            why = self._post.why or "Its process ended."
            self.replica = self._new_replica(f"{why} Another is being started.")
        self._changed()

    def _new_replica(self, why: str) -> Replica:
        one = self.deployment
        replica_id = suffixed(one.deployment_id, os.urandom(16))
        state = ReplicaState.STARTING
        return Replica(replica_id, one.pool, one.kind, "", state, deployment_id=one.deployment_id, why=why)


class DeployedKeeper:
    """All engine processes of deployments."""

    def __init__(self, crew: Crew, cache: Path, uses: Uses, changed: Callable[[], None]) -> None:
        self._crew = crew
        self._cache = cache
        self._uses = uses
        self._changed = changed
        self._berths: dict[Berth, None] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """All, whatever their state. One that is starting has no address."""
        return tuple(berth.replica for berth in self._berths)

    @property
    def serving(self) -> list[tuple[Post, Replica]]:
        """Those whose process serves, and is not on its way out."""
        return [(one.post, one.replica) for one in self._berths if one.replica.state is ReplicaState.READY]

    def want(self, deployments: Sequence[Deployment], drained: Collection[str]) -> None:
        """Take the next steps towards it. Called again and again."""
        running = [berth.running for berth in self._berths]
        steps = wanted_changes(deployments, running, drained=drained, roomy=self._roomy())
        for wanted in steps.starts:
            self._berths[Berth(wanted, self._free_number(), self._start, self._changed)] = None
        for berth in list(self._berths):
            if berth.replica.replica_id in (*steps.drains, *steps.stops):
                task = asyncio.ensure_future(self._end(berth))
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)
        if steps.starts:
            self._changed()

    async def settled(self) -> None:
        """Every process has been started, or has failed to start, once."""
        await asyncio.gather(*(berth.tried.wait() for berth in self._berths))

    async def end(self) -> None:
        """All at once: whatever ran on them has been drained, or never will be."""
        for berth in self._berths:
            berth.leave()
        for task in self._leaving:
            task.cancel()
        await self._crew.end(END_S_MAX)

    def _free_number(self) -> int:
        taken = {berth.number for berth in self._berths}
        return next(number for number in count() if number not in taken)

    async def _start(self, work: EngineWork) -> Started:
        return await start_engine(self._crew, self._cache, work)

    async def _end(self, berth: Berth) -> None:
        """However long its last requests take."""
        child = berth.leave()
        self._changed()
        if child is not None:
            await self._unused(berth.replica.replica_id)
            await child.end(END_S_MAX)
        del self._berths[berth]
        self._changed()

    async def _unused(self, replica_id: str) -> None:
        """No gateway has a request on it, or may still send one."""
        while await self._uses(replica_id):  # noqa: ASYNC110 - they are other processes
            await asyncio.sleep(USE_POLL_S)

    def _roomy(self) -> set[str]:
        """Deployments of which one more process fits."""
        pids = {berth.deployment.deployment_id: berth.pid for berth in self._berths if berth.pid is not None}
        return {deployment_id for deployment_id, pid in pids.items() if has_room_for_another(pid)}
