"""The supervisor's side of a Ray cluster: its driver, what that shall do there, and the replicas that it tells of."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from parvis.app.crew import Child, Crew, Post
from parvis.core.errors import Failure, Misconfigured
from parvis.domain.fleet.deployment import Deployment
from parvis.domain.fleet.replica import Replica
from parvis.settings import Settings

LOOK_S = 0.5
ASK_S_MAX = 60.0
END_S_MAX = 5.0
SETTLED_S_MAX = 15.0
_log = logging.getLogger("parvis.supervisor")


class RayKeeper:
    """While the driver or its cluster's head is away, the replicas that were known last stay: engines need neither."""

    def __init__(self, crew: Crew, settings: Callable[[], Settings], changed: Callable[[], None]) -> None:
        self._crew = crew
        self._settings = settings
        self._changed = changed
        self._post = Post("the driver of Ray", self._start)
        self._wanted: tuple[Deployment, ...] = ()
        self._acts = False
        self._told: tuple[Child, object] | None = None
        """What was said, and to whom."""
        self._looking: asyncio.Task[None] | None = None
        self._trouble = ""
        self._tried = asyncio.Event()
        self.replicas: tuple[Replica, ...] = ()
        """All that were heard of last, whatever their state. One that is starting has no address."""

    def begin(self) -> None:
        """If there is a cluster: start its driver, as often as it takes. What is wanted is looked at, not made so."""
        if self._settings().ray.address:
            self._post.fill_sometime()
            self._looking = asyncio.ensure_future(self._look_for_ever())

    async def settled(self) -> None:
        """Who lives there is known, or cannot be known now. Nobody waits long: other engines need no Ray."""
        if self._looking is not None and self._wanted:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._tried.wait(), SETTLED_S_MAX)

    def want(self, deployments: Sequence[Deployment], *, acts: bool) -> None:
        """What shall run there. `acts`: and nothing else of ours. Called again and again."""
        self._wanted = tuple(one for one in deployments if one.serves)
        self._acts = acts

    async def end(self) -> None:
        """What runs on the cluster stays; the next driver finds it."""
        if self._looking is not None:
            self._looking.cancel()
        self._post.leave_open()
        await self._crew.end(END_S_MAX)

    async def _start(self) -> Child:
        ray = self._settings().ray
        first = {"address": ray.address, "name": ray.name, "home": str(self._settings().home)}
        try:
            child, _ = await self._crew.start("parvis.app.ray_driver", first=first)
        except Misconfigured as problem:
            self._complain(str(problem))
            raise
        return child

    async def _look_for_ever(self) -> None:
        while True:
            child = self._post.child
            if child is not None:
                try:
                    await self._look(child)
                except Failure as failure:
                    self._complain(str(failure))
                else:
                    self._complain("")
            await asyncio.sleep(LOOK_S)

    async def _look(self, child: Child) -> None:
        """Say what is wanted if it is another, and hear who lives. Raises Failure."""
        wanted = (self._wanted, self._acts)
        if self._told != (child, wanted):
            word = {"do": "deployments", "deployments": msgspec.to_builtins(self._wanted), "acts": self._acts}
            await child.ask(word, ASK_S_MAX)
            self._told = (child, wanted)
        said = await child.ask({"do": "replicas"}, ASK_S_MAX)
        self._tried.set()
        if "replicas" not in said:
            return
        replicas = msgspec.convert(said["replicas"], tuple[Replica, ...])
        if replicas != self.replicas:
            self.replicas = replicas
            self._changed()

    def _complain(self, trouble: str) -> None:
        """Once of each trouble, and that it is over."""
        if trouble and trouble != self._trouble:
            _log.warning("Ray is in trouble", extra={"reason": trouble})
            self._tried.set()
        self._trouble = trouble
