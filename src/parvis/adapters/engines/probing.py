"""One look at a replica: does it say that it can serve? Asked by gateways of those that show no other sign of life."""

import asyncio
from typing import NamedTuple

from parvis.adapters.engines.asking import Page
from parvis.adapters.engines.upstream import Unheard, UpstreamConnection, UpstreamPool, Upstreams
from parvis.core.errors import EngineUnavailable
from parvis.domain.fleet.health import Life
from parvis.domain.fleet.profile import PROFILES
from parvis.domain.fleet.replica import Replica

PROBE_S_MAX = 1.0
LATE_TIMES = 1.5
"""A deadline that comes so late says that we were stopped, and nothing about the replica."""
_FAILING = 500
"""Statuses from here on say that it cannot serve. One that has no such page lives."""


class Look(NamedTuple):
    """What one look showed."""

    life: Life
    why: str = ""
    """Of one that is not well, for the operator."""


class Prober:
    """Asks over connections that are idle, or over new ones."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams

    async def look(self, replica: Replica, s_max: float = PROBE_S_MAX) -> Look | None:
        """What its page of health says; None when we ourselves were too slow to know."""
        pool = self._upstreams.pool(replica)
        started_s = pool.loop.time()
        try:
            async with asyncio.timeout(s_max):
                status = await self._status(
                    pool, pool.question(PROFILES[replica.kind].health.encode(), replica.api_key)
                )
        except TimeoutError:
            return Look(Life.SILENT) if pool.loop.time() - started_s < s_max * LATE_TIMES else None
        except EngineUnavailable as failure:
            return Look(Life.REFUSED, failure.reason)
        if status >= _FAILING:
            return Look(Life.REFUSED, f"It says that it cannot serve ({status}).")
        return Look(Life.ALIVE)

    async def _status(self, pool: UpstreamPool, question: bytes) -> int:
        connection = pool.idle()
        if connection is not None:
            try:
                return await _ask(connection, question)
            except Unheard:
                pass  # closed while it was idle: that is no news
        return await _ask(await pool.connect(), question)


async def _ask(connection: UpstreamConnection, question: bytes) -> int:
    end: asyncio.Future[tuple[int, bytes]] = connection.new_future()
    connection.single_use = False
    connection.send(Page(connection, end), question)
    try:
        status, _ = await end
    except asyncio.CancelledError:
        connection.abort()
        raise
    return status
