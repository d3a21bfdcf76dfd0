"""The supervisor's side of the engines that serve weights: one process each, and the replicas that they are."""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from weakref import WeakKeyDictionary

from parvis.adapters.engines.weights import locate
from parvis.app.crew import Child, Crew, Post
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.settings import EngineSettings

END_S_MAX = 5.0


class EngineKeeper:
    """The engines, by the name that the settings give them."""

    def __init__(
        self, crew: Crew, cache: Path, say: Callable[[str], None], changed: Callable[[], None] = lambda: None
    ) -> None:
        self._crew = crew
        self._cache = cache
        self._say = say
        self._changed = changed
        self._posts: dict[str, Post] = {}
        self._settings: dict[str, EngineSettings] = {}
        self._replicas: WeakKeyDictionary[Child, Replica] = WeakKeyDictionary()

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """Those that may be asked."""
        children = (post.child for post in self._posts.values())
        return tuple(self._replicas[child] for child in children if child is not None)

    async def prepare(self, wanted: Mapping[str, EngineSettings]) -> dict[str, Child]:
        """Start what is new in `wanted` or has changed, beside what runs. Raises Misconfigured, changing nothing."""
        new = {name: engine for name, engine in wanted.items() if self._settings.get(name) != engine}
        starts = {name: asyncio.ensure_future(self._start(name, engine)) for name, engine in new.items()}
        try:
            return dict(zip(starts, await asyncio.gather(*starts.values()), strict=True))
        except BaseException:
            await asyncio.gather(*(_undo(start) for start in starts.values()))
            raise

    def adopt(self, wanted: Mapping[str, EngineSettings], fresh: Mapping[str, Child]) -> list[tuple[Child, Replica]]:
        """From now on these are the engines, with what `prepare` started. Give those that nobody shall ask any more."""
        gone = [name for name in self._posts if name in fresh or name not in wanted]
        old = [self._posts.pop(name).leave_open() for name in gone]
        self._settings = dict(wanted)
        for name, child in fresh.items():
            self._posts[name] = Post(f"engine {name}", partial(self._start, name, wanted[name]), self._changed)
            self._posts[name].take(child)
        return [(child, self._replicas[child]) for child in old if child is not None]

    async def discard(self, fresh: Mapping[str, Child]) -> None:
        """End what `prepare` started."""
        await asyncio.gather(*(child.end(END_S_MAX) for child in fresh.values()))

    async def end(self) -> None:
        """All at once: whatever ran on them has been drained, or never will be."""
        for post in self._posts.values():
            post.leave_open()
        await self._crew.end(END_S_MAX)

    async def _start(self, name: str, engine: EngineSettings) -> Child:
        weights = await asyncio.to_thread(locate, engine.weights, self._cache)
        self._say(f"Loading {engine.model or name} ...")
        api_key = secrets.token_hex(16)
        spec = {
            "weights": str(weights),
            "alias": engine.model or name,
            "kind": "embedding" if engine.embedding else "chat",
            "parallel": engine.parallel,
            "context": engine.context_tokens,
            "threads": engine.threads,
            "api_key": api_key,
        }
        child, word = await self._crew.start("parvis.adapters.engines.llama_child", first=spec)
        address, ready = word["address"], ReplicaState.READY
        self._replicas[child] = Replica(self._free_id(name), name, EngineKind.LLAMA_CPP, address, ready, api_key)
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
