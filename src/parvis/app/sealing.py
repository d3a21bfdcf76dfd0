"""Receipts are signed right behind the bookings, by the control that acts."""

import asyncio
import logging

from parvis.core.errors import Failure
from parvis.flows.receipts import Notary

INTERVAL_S = 0.4
_log = logging.getLogger("parvis.control")


class Sealing:
    """Signs what is booked, round after round. Nothing is kept in memory: who acts next goes on here."""

    def __init__(self, notary: Notary, interval_s: float = INTERVAL_S) -> None:
        self._notary = notary
        self._interval_s = interval_s
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """The first round is now."""
        self._task = asyncio.create_task(self._for_ever())

    async def end(self) -> None:
        """No more rounds."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _for_ever(self) -> None:
        while True:
            try:
                while await self._notary.seal():
                    pass
            except Failure as failure:
                _log.error("receipts cannot be signed", extra={"kind": failure.code})
            await asyncio.sleep(self._interval_s)
