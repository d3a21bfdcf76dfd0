"""What gateways must know, followed in the store and told over the link; and the last uses that they tell in return.

Keys, tenants and limits are followed by the number of the last change: whoever made it, in this process or in another
on the same database, every gateway knows of it a moment later. Catalogue and prices are few, and read as a whole.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from parvis.adapters.link.control_side import ControlLink
from parvis.core.errors import Failure
from parvis.domain.fleet.replica import Replica
from parvis.domain.quota.limit import NO_LIMITS
from parvis.flows.ports import KeyUse
from parvis.flows.store import Store

FOLLOW_INTERVAL_S = 0.2
CATALOGUE_INTERVAL_S = 5.0
USES_INTERVAL_S = 2.0
KEYS_AT_ONCE = 100
"""In one page: the thread that reads it keeps the interpreter for a few milliseconds."""
USES_AT_ONCE = 50
"""In one transaction: some milliseconds that others wait."""
Work = Callable[[], Coroutine[Any, Any, None]]
_log = logging.getLogger("parvis.control")


class Announcer:
    """Of the control that acts. Everything that it knows is in the link, packed."""

    def __init__(self, store: Store, link: ControlLink, replicas: Callable[[], tuple[Replica, ...]]) -> None:
        self._store = store
        self._link = link
        self._replicas = replicas
        self._version = 0
        self._turn = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._uses: dict[tuple[str, int], int] = {}
        self._troubled: set[str] = set()

    async def load(self) -> None:
        """Read limits, tenants and (page by page) keys, whatever was known before. What changes now is read again.

        Keys and tenants are never gone; limits that were known and are in force no more are told as such.
        """
        async with self._turn:
            self._version = await self._store.directory_version()
            ended = dict.fromkeys(self._link.limited, NO_LIMITS)
            await self._link.change(limits=ended | await self._store.limits_in_force())
            await self._link.change(tenants=await self._store.tenants_in_force())
            after: str | None = None
            while page := await self._store.keys_in_force(after, KEYS_AT_ONCE):
                await self._link.change(page)
                after = page[-1].key_id

    def begin(self) -> None:
        """Follow from now on, and write down uses."""
        works = (
            (FOLLOW_INTERVAL_S, self._follow),
            (CATALOGUE_INTERVAL_S, self.announce),
            (USES_INTERVAL_S, self._write_uses),
        )
        self._tasks = [asyncio.create_task(self._again_and_again(*work)) for work in works]

    async def end(self) -> None:
        """Follow no more; the uses that were told are durable on return, if the store can be written."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._attempt(self._write_uses)

    async def announce(self) -> None:
        """Every gateway has been told of all that is in the store now. Raises Unavailable."""
        await self._follow()
        async with self._turn:
            models, prices = await self._store.models(), await self._store.prices()
            self._link.publish(tuple(models), tuple(prices), self._replicas())

    def used(self, uses: Iterable[KeyUse]) -> None:
        """A gateway tells of uses. They are written down soon, the latest of each secret."""
        for key_id, made, last in uses:
            self._uses[key_id, made] = max(last, self._uses.get((key_id, made), 0))

    async def _follow(self) -> None:
        async with self._turn:
            if await self._store.directory_version() != self._version:
                changes = await self._store.changes(self._version)
                await self._link.change(changes.keys, changes.tenants, dict(changes.limits))
                self._version = changes.version

    async def _write_uses(self) -> None:
        """What could not be written waits for the next time."""
        while self._uses:
            part = [KeyUse(*use, self._uses[use]) for use in list(self._uses)[:USES_AT_ONCE]]
            await self._store.note_uses(part)
            for key_id, made, last in part:
                if self._uses[key_id, made] == last:
                    del self._uses[key_id, made]

    async def _again_and_again(self, interval_s: float, work: Work) -> None:
        while True:
            await asyncio.sleep(interval_s)
            await self._attempt(work)

    async def _attempt(self, work: Work) -> None:
        """When the store cannot be used, the log is told once, and the next time comes."""
        name = work.__name__.strip("_")
        try:
            await work()
        except Failure as failure:
            if name not in self._troubled:
                _log.error("gateways cannot be kept up to date", extra={"kind": failure.code, "reason": name})
            self._troubled.add(name)
        else:
            self._troubled.discard(name)
