"""The parts of the service, and what is done to all of them: starting, starting beside another, renewing, ending."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import msgspec

from parvis.app.changes import Changes, compare
from parvis.app.crew import Child, Crew, Post, together
from parvis.app.engine_watch import EngineWatch
from parvis.app.handover import ACT_S_MAX, Predecessor
from parvis.app.keep_control import ControlKeeper
from parvis.app.keep_deployed import DeployedKeeper
from parvis.app.keep_engines import END_S_MAX, EngineKeeper
from parvis.app.keep_gateways import GatewayKeeper
from parvis.app.keep_ray import RayKeeper
from parvis.app.laying_out import make_weights
from parvis.app.opening import look_first, open_house
from parvis.app.sockets import Sockets
from parvis.core.errors import Failure, Misconfigured
from parvis.domain.fleet.deployment import Deployment
from parvis.domain.fleet.replica import Replica
from parvis.settings import EngineSettings, Settings

USE_POLL_S = 0.5
TELL_AGAIN_S = 1.0
FOLLOW_S = 0.5
"""Between two looks at what deployments are wanted."""
_log = logging.getLogger("parvis.supervisor")
Say = Callable[[str], None]


class Service:
    """Gateways, control and engines of one supervisor."""

    def __init__(self, settings: Settings, sockets: Sockets, say: Say) -> None:
        self.settings = settings
        """Those in force."""
        self._say = say
        self._crews = [Crew(settings.home) for _ in range(5)]
        of_gateways, of_control, of_engines, of_deployed, of_ray = self._crews
        self._engines = EngineKeeper(of_engines, settings.home / "cache", say, self._engines_changed)
        self.control = ControlKeeper(
            of_control, (sockets.console, sockets.operator), lambda: self.settings, self._replicas
        )
        self.gateways = GatewayKeeper(of_gateways, sockets.inference, lambda: self.settings)
        self._deployed = DeployedKeeper(of_deployed, settings.home / "cache", self.gateways.uses, self._engines_changed)
        self._ray = RayKeeper(of_ray, lambda: self.settings, self._engines_changed)
        self._watch = EngineWatch(self._serving, lambda: self.settings.routing.frozen_s_max)
        self._following: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises Misconfigured."""
        await look_first(self.settings)
        await make_weights(self.settings, self._say)
        await open_house(self.settings, self._say)
        await together(self.control.fill(acts=True), self._start_engines())
        await self._start_deployed()
        await self.control.replicas_are()
        await self.gateways.fill()
        self._begin_to_follow()

    async def start_beside(self, old: Predecessor) -> None:
        """Take the place of a service that runs. Raises Failure.

        Whatever step fails, and however we die, the old service goes on; the last step ends it. What can fail comes
        first: after `rest` everything has been loaded, and nobody is without control for longer than it takes to bind.
        """
        await look_first(self.settings)
        await make_weights(self.settings, self._say)
        await self._start_engines()
        await open_house(self.settings, self._say)  # a newer release's steps run while the older one serves
        await self.control.fill(acts=False)
        await self._start_deployed()
        await self.control.replicas_are()
        try:
            async with asyncio.timeout(ACT_S_MAX):
                await old.rest()
                await self.control.act()
                await self.gateways.fill()  # they accept on the same sockets as the old ones
        except TimeoutError:
            raise Misconfigured("The new gateways did not start in time, so the running service goes on.") from None
        await old.leave()
        self._begin_to_follow()

    async def renew(self, wanted: Settings) -> Changes:
        """Put these settings in force, as far as they can change live. Raises Failure, and then nothing has changed.

        What is new is started before anybody is told of it, and what nobody needs ends after everybody was told.
        """
        changes = compare(self.settings, wanted)
        await look_first(changes.settings)
        await make_weights(changes.settings, self._say)
        weights = _weights(changes.settings)
        fresh = await self._engines.prepare(weights)
        before, self.settings = self.settings, changes.settings
        try:
            await open_house(self.settings, self._say)
            await self.control.renew()
            await self.gateways.renew()
        except BaseException:
            self.settings = before
            await self._engines.discard(fresh)
            with suppress(Failure):
                await self.control.renew()
                await self.gateways.renew()
            raise
        old = self._engines.adopt(weights, fresh)
        await self._tell_of_engines()
        for child, replica in old:
            self._do(self._end_unused(child, replica))
        return changes

    async def rest(self) -> None:
        """Leave the books and the link to another service's control. Never raises."""
        await self.control.rest()

    async def act_again(self) -> None:
        """Take them back."""
        await self.control.act_again()
        self._engines_changed()

    async def end(self) -> None:
        """Gateways drain, control books what they wrote, engines go last."""
        self._follow_no_more()
        await self.control.stops()
        await self.gateways.end()
        await self.control.end()
        await together(self._engines.end(), self._deployed.end(), self._ray.end())

    async def end_beside(self) -> None:
        """Another service accepts on our sockets and books what our gateways write; they drain patiently."""
        self._follow_no_more()
        await self.gateways.retire()
        await self.control.rest()
        await self.control.end()
        await together(self._engines.end(), self._deployed.end(), self._ray.end())

    def kill(self) -> None:
        """End everything at once."""
        for crew in self._crews:
            crew.kill()

    async def _start_engines(self) -> None:
        weights = _weights(self.settings)
        self._engines.adopt(weights, await self._engines.prepare(weights))

    async def _start_deployed(self) -> None:
        """As in the beginning: what cannot be started is tried again beside the rest, and is no hindrance."""
        self._ray.begin()
        await self._look_at_wanted()
        await together(self._deployed.settled(), self._ray.settled())

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(FOLLOW_S)
            await self._look_at_wanted()

    async def _look_at_wanted(self) -> None:
        """While nobody can say what is wanted, what runs goes on."""
        word = await self.control.wanted()
        if word is not None:
            self._deployed.want(msgspec.convert(word["deployments"], list[Deployment]), word["drained"])
            on_ray = msgspec.convert(word["on_ray"], list[Deployment])
            self._ray.want(on_ray, acts=self._following is not None)  # until the service is ours, it only looks

    def _begin_to_follow(self) -> None:
        self._following = asyncio.ensure_future(self._follow())
        self._watching = asyncio.ensure_future(self._watch.run())

    def _follow_no_more(self) -> None:
        for task in (self._following, self._watching):
            if task is not None:
                task.cancel()

    def _serving(self) -> list[tuple[Post, Replica]]:
        """The engine processes of this machine that can be looked at."""
        return [*self._engines.serving, *self._deployed.serving]

    def _replicas(self) -> tuple[Replica, ...]:
        return (*self._engines.replicas, *self._deployed.replicas, *self._ray.replicas)

    async def _end_unused(self, child: Child, replica: Replica) -> None:
        """However long its last requests take."""
        while await self.gateways.uses(replica.replica_id):  # noqa: ASYNC110 - they are other processes
            await asyncio.sleep(USE_POLL_S)
        await child.end(END_S_MAX)

    def _engines_changed(self) -> None:
        self._do(self._tell_of_engines())

    async def _tell_of_engines(self) -> None:
        """As often as it takes: control may have trouble with its store."""
        while True:
            try:
                await self.control.replicas_are()
            except Failure as failure:
                _log.warning("engines are not announced", extra={"reason": str(failure)})
                await asyncio.sleep(TELL_AGAIN_S)
            else:
                return

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _weights(settings: Settings) -> dict[str, EngineSettings]:
    """The engines that are ours to start."""
    return {name: engine for name, engine in settings.engines.items() if engine.weights}
