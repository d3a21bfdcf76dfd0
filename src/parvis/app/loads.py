"""Control asks each engine once a second how busy it is, for all gateways: a page a second, however many they are."""

import asyncio
from collections.abc import Callable, Mapping

from parvis.adapters.engines.loads import EngineLoads
from parvis.adapters.engines.upstream import Upstreams
from parvis.domain.fleet.load import Load
from parvis.domain.fleet.profile import PROFILES
from parvis.domain.fleet.replica import Replica

INTERVAL_S = 1.0
AT_ONCE = 32
NOTHING = Load(0, 0)
"""Of who said something before and says nothing now."""
Tell = Callable[[Mapping[str, Load]], None]


class LoadWatch:
    """Tells `tell` of each replica whose load is another. `begin` and `end` on the loop that it is asked on."""

    def __init__(self, upstreams: Upstreams, replicas: Callable[[], tuple[Replica, ...]], tell: Tell) -> None:
        self._source = EngineLoads(upstreams)
        self._replicas = replicas
        self._tell = tell
        self._places = asyncio.Semaphore(AT_ONCE)
        self._watching: asyncio.Task[None] | None = None
        self.loads: dict[str, Load] = {}
        """By replica id, of those that say it."""

    def begin(self) -> None:
        self._watching = asyncio.create_task(self._watch_for_ever())

    async def end(self) -> None:
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def look(self) -> None:
        """Ask all once, and tell what is another."""
        asked = [replica for replica in self._replicas() if PROFILES[replica.kind].load is not None]
        found = await asyncio.gather(*map(self._read, asked))
        now = {replica.replica_id: load for replica, load in zip(asked, found, strict=True) if load is not None}
        before, self.loads = self.loads, now
        silent = dict.fromkeys(before.keys() - now.keys(), NOTHING)
        changed = {one: load for one, load in (silent | now).items() if before.get(one, NOTHING)[:2] != load[:2]}
        if changed:
            self._tell(changed)

    async def _read(self, replica: Replica) -> Load | None:
        async with self._places:
            return await self._source.read(replica)

    async def _watch_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            begun_s = loop.time()
            await self.look()
            await asyncio.sleep(max(0.0, begun_s + INTERVAL_S - loop.time()))
