"""The supervisor's side of the settings' engines that serve weights: their processes, and the replicas they are."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from weakref import WeakKeyDictionary

from parvis.app.crew import Child, Crew, Post
from parvis.app.engine_start import EngineWork, start_engine
from parvis.domain.fleet.replica import Replica, ReplicaState
from parvis.settings import EngineSettings

END_S_MAX = 5.0
Place = tuple[str, int]
"""One process of an engine: the engine's name, and which of its replicas."""


class EngineKeeper:
    """The engines, by the name that the settings give them."""

    def __init__(
        self, crew: Crew, cache: Path, say: Callable[[str], None], changed: Callable[[], None] = lambda: None
    ) -> None:
        self._crew = crew
        self._cache = cache
        self._say = say
        self._changed = changed
        self._posts: dict[Place, Post] = {}
        self._settings: dict[str, EngineSettings] = {}
        self._replicas: WeakKeyDictionary[Child, Replica] = WeakKeyDictionary()
        self._last: dict[Place, Replica] = {}
        """Of each place, as it is to be told."""

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """All of them. One whose process ended has no address until another serves."""
        return tuple(self._last[place] for place in self._posts if place in self._last)

    @property
    def serving(self) -> list[tuple[Post, Replica]]:
        """Those that have a process, which serves."""
        posts = [post for post in self._posts.values() if post.child is not None]
        return [(post, self._replicas[post.child]) for post in posts if post.child is not None]

    async def prepare(self, wanted: Mapping[str, EngineSettings]) -> dict[Place, Child]:
        """Start what is new in `wanted` or has changed, beside what runs. Raises Misconfigured, changing nothing."""
        new = {name: engine for name, engine in wanted.items() if self._settings.get(name) != engine}
        starts = {
            (name, number): asyncio.ensure_future(self._start((name, number), engine))
            for name, engine in new.items()
            for number in range(engine.replicas)
        }
        try:
            return dict(zip(starts, await asyncio.gather(*starts.values()), strict=True))
        except BaseException:
            await asyncio.gather(*(_undo(start) for start in starts.values()))
            raise

    def adopt(self, wanted: Mapping[str, EngineSettings], fresh: Mapping[Place, Child]) -> list[tuple[Child, Replica]]:
        """From now on these are the engines, with what `prepare` started. Give those that nobody shall ask any more."""
        changed = {name for name, _ in fresh}
        gone = [place for place in self._posts if place[0] in changed or place[0] not in wanted]
        old = [self._posts.pop(place).leave_open() for place in gone]
        self._settings = dict(wanted)
        for place, child in fresh.items():
            name = place[0]
            moved = partial(self._moved, place)
            self._posts[place] = Post(f"engine {name}", partial(self._start, place, wanted[name]), moved)
            self._posts[place].take(child)
        return [(child, self._replicas[child]) for child in old if child is not None]

    async def discard(self, fresh: Mapping[Place, Child]) -> None:
        """End what `prepare` started."""
        await asyncio.gather(*(child.end(END_S_MAX) for child in fresh.values()))

    async def end(self) -> None:
        """All at once: whatever ran on them has been drained, or never will be."""
        for post in self._posts.values():
            post.leave_open()
        await self._crew.end(END_S_MAX)

    def _moved(self, place: Place) -> None:
        """Somebody has the post, or nobody has it any more."""
        post = self._posts.get(place)
        if post is None:
            self._last.pop(place, None)
        elif post.child is not None:
            self._last[place] = self._replicas[post.child]
        elif place in self._last:
            why = f"{post.why or 'Its process ended.'} Another is being started."
            self._last[place] = replace(self._last[place], state=ReplicaState.STARTING, address="", api_key="", why=why)
        self._changed()

    async def _start(self, place: Place, engine: EngineSettings) -> Child:
        name, number = place
        self._say(f"Loading {engine.model or name} ...")
        work = EngineWork(
            engine.weights,
            engine.model or name,
            engine.embedding,
            engine.parallel,
            engine.context_tokens,
            engine.threads,
            kind=engine.server,
            number=number,
            requantise=bool(engine.requantise),
        )
        child, address, api_key = await start_engine(self._crew, self._cache, work)
        kind, ready, cache = engine.server, ReplicaState.READY, engine.cache
        replica_id, slots = self._free_id(name), engine.parallel
        self._replicas[child] = Replica(replica_id, name, kind, address, ready, api_key, slots=slots, cache=cache)
        return child

    def _free_id(self, name: str) -> str:
        """One that no living process has: requests are counted by it."""
        taken = {self._replicas[child].replica_id for child in self._crew.ready if child in self._replicas}
        return next(replica_id for number in count() if (replica_id := f"{name}-{number}") not in taken)


async def _undo(start: "asyncio.Future[Child]") -> None:
    start.cancel()
    (child,) = await asyncio.gather(start, return_exceptions=True)
    if isinstance(child, Child):
        await child.kill()
