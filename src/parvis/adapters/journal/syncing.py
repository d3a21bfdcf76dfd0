"""Bringing segments to disk, away from the loop's thread: one `fdatasync` for all that wait.

The loop's thread decides what is synced and when, and hands it over as a batch; the other thread syncs, and knows
nothing else. So they meet twice for each sync, however many requests it serves.
"""

import asyncio
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import NamedTuple

from parvis.adapters.journal.segment import Segment
from parvis.core.errors import Unavailable

COMPANY = 4
GATHER_S = 0.001
"""When so many waited for the last sync, the next waits so long for more: each sync costs the same for any number."""
CROWD = 16
GATHER_CROWD_S = 0.003


class Batch(NamedTuple):
    """Who waits, and the segments that hold their records; the full ones are closed afterwards."""

    waiting: "list[asyncio.Future[None]]"
    full: list[Segment]
    current: Segment


class Syncer:
    """Owned by the journal. All but `_sync_for_ever` is called on the loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, segment: Segment) -> None:
        self.broken = False
        """A sync has failed. What was lost stays lost: no later one can be believed."""
        self._loop = loop
        self._segment = segment
        self._full: list[Segment] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._busy = False
        self._batches: SimpleQueue[Batch | None] = SimpleQueue()
        self._worker = threading.Thread(target=self._sync_for_ever, name="journal-sync", daemon=True)
        self._worker.start()

    @property
    def backlog(self) -> int:
        """How many wait for a sync that has not begun."""
        return len(self._waiting)

    def durable(self) -> "asyncio.Future[None]":
        """Done when all that was appended to the current segment is on disk; fails when it cannot be brought there."""
        done = self._loop.create_future()
        self._waiting.append(done)
        self._begin_unless_busy()
        return done

    def next(self, segment: Segment) -> None:
        """The current segment is full: this one follows."""
        self._full.append(self._segment)
        self._segment = segment
        self._begin_unless_busy()

    async def end(self) -> None:
        """Return when all is on disk and the thread has ended. Nothing may be asked any more."""
        with suppress(Unavailable):  # who waits for it was told
            await self.durable()
        self._batches.put(None)
        await asyncio.to_thread(self._worker.join)
        self._segment.close()

    def _begin_unless_busy(self) -> None:
        if not self._busy:
            self._busy = True
            self._begin()

    def _begin(self) -> None:
        self._batches.put(Batch(self._waiting, self._full, self._segment))
        self._waiting, self._full = [], []

    def _synced(self, batch: Batch, failed: bool) -> None:  # noqa: FBT001 - a callback's argument
        self.broken = self.broken or failed
        for future in batch.waiting:
            if future.done():
                continue
            if self.broken:
                future.set_exception(cannot_write())
            else:
                future.set_result(None)
        company = len(batch.waiting)
        if company >= COMPANY:
            self._loop.call_later(GATHER_CROWD_S if company >= CROWD else GATHER_S, self._go_on)
        else:
            self._go_on()

    def _go_on(self) -> None:
        if self._waiting or self._full:
            self._begin()
        else:
            self._busy = False

    # The syncing thread

    def _sync_for_ever(self) -> None:
        while (batch := self._batches.get()) is not None:
            failed = False
            try:
                for segment in batch.full:
                    segment.sync()
                if batch.waiting:
                    batch.current.sync()
            except OSError:
                failed = True
            for segment in batch.full:
                segment.close()
            self._loop.call_soon_threadsafe(self._synced, batch, failed)


def cannot_write() -> Unavailable:
    """Why nothing is served."""
    return Unavailable("The usage journal cannot be written, so nothing is served.", retry_after_s=5)
