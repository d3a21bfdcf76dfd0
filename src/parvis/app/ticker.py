"""What happens because its time has come. Run by the control that acts: one at a time, whatever the number of machines.

Nothing is kept in memory between two rounds: what was missed while nobody acted is found in the store.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from parvis.core.errors import Failure
from parvis.flows.notices import PostOffice, send_what_waits, tell_what_has_come

INTERVAL_S = 60.0
Task = Callable[[], Awaitable[object]]
_log = logging.getLogger("parvis.control")


class Ticker:
    """Makes notices and sends them, round after round, and does what else there is, by its name for the log."""

    def __init__(
        self, office: PostOffice, interval_s: float = INTERVAL_S, others: Mapping[str, Task] | None = None
    ) -> None:
        self._office = office
        self._others = others or {}
        self._interval_s = interval_s
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """The first round is now."""
        self._task = asyncio.create_task(self._for_ever())

    async def end(self) -> None:
        """No more rounds. What was on its way may be sent once more by who acts next."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def round(self) -> None:
        """One of each. What fails is left to the next round."""
        office = self._office
        await self._attempt("notices", lambda: tell_what_has_come(office.store, office.clock, office.randomness))
        await self._attempt("sending", self._send_all)
        for name, task in self._others.items():
            await self._attempt(name, task)

    async def _send_all(self) -> None:
        while await send_what_waits(self._office):
            pass

    async def _for_ever(self) -> None:
        while True:
            await self.round()
            await asyncio.sleep(self._interval_s)

    async def _attempt(self, name: str, work: Task) -> None:
        try:
            await work()
        except Failure as failure:
            _log.error("a task of the ticker failed", extra={"kind": failure.code, "reason": name})
