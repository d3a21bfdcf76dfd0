"""The journal that a gateway writes.

Promises: `start` and marks are in the page cache when the call returns (the death of the process loses nothing);
`settle` returns when its record is on disk (one `fdatasync` serves all that wait). The loop's thread appends, one
thread syncs; they share the queue of who waits, and nothing else changes hands.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

from parvis.adapters.journal.folder import SEGMENT, make_locked
from parvis.adapters.journal.frames import frame
from parvis.adapters.journal.segment import Segment
from parvis.core.errors import Unavailable
from parvis.domain.metering.records import Closed, Record, Settled, Started

MARK_INTERVAL_S = 0.2
BACKLOG_MAX = 10_000
"""Settlements that may wait for the disk before new requests are refused."""
COMPANY = 4
GATHER_S = 0.001
"""When so many waited for the last sync, the next waits so long for more: each sync costs the same for any number."""

Progress = Callable[[], Record | None]
Waiting = tuple[asyncio.Future[None], Segment]
"""Who waits, and the segment that holds its record."""
OpenSegment = Callable[[Path], Segment]


class FileJournal:
    """The `Journal` port on files. One instance per gateway run; make it on the loop's thread."""

    def __init__(self, folder: Path, loop: asyncio.AbstractEventLoop, open_segment: OpenSegment = Segment) -> None:
        self._lock = make_locked(folder)
        self._folder = folder
        self._loop = loop
        self._open_segment = open_segment
        self._sequence = 0
        self._segments = 1
        self._segment = open_segment(folder / SEGMENT.format(0))
        self._progress: dict[str, Progress] = {}
        self._marked: dict[str, Record] = {}
        self._delivered: list[str] = []
        self._undelivered: list[str] = []
        self._waiting: SimpleQueue[Waiting | Segment | None] = SimpleQueue()
        self._broken = False
        self._ended = False
        self._syncer = threading.Thread(target=self._sync_for_ever, name="journal-sync", daemon=True)
        self._syncer.start()
        self._ticker = loop.call_later(MARK_INTERVAL_S, self._tick)

    @property
    def incarnation(self) -> str:
        """The id of this gateway run: its folder's name."""
        return self._folder.name

    def start(self, record: Started, progress: Progress | None) -> None:
        """See the port."""
        if self._waiting.qsize() > BACKLOG_MAX:
            raise Unavailable("The usage journal is behind. Try again shortly.", retry_after_s=2)
        self._append(record)
        if progress is not None:
            self._progress[record.request_id] = progress

    def settle(self, record: Settled) -> "asyncio.Future[None]":
        """See the port."""
        self._progress.pop(record.request_id, None)
        self._marked.pop(record.request_id, None)
        self._append(record)
        done = self._loop.create_future()
        self._waiting.put((done, self._segment))
        return done

    def close(self, request_id: str, *, delivered: bool) -> None:
        """See the port."""
        if not (self._delivered or self._undelivered):
            self._loop.call_soon(self._write_closed)
        (self._delivered if delivered else self._undelivered).append(request_id)

    async def end(self) -> None:
        """Write and sync what is left, and let the folder go. Call when no request runs any more."""
        self._ticker.cancel()
        self._write_closed()
        self._ended = True
        self._waiting.put(None)
        await asyncio.to_thread(self._syncer.join)
        self._segment.close()
        os.close(self._lock)

    def _append(self, record: Record) -> None:
        self._sequence += 1
        data = frame(self._sequence, record)
        if not (self._broken or self._ended or self._segment.fits(len(data))):
            self._next_segment()
        if self._broken or self._ended:
            raise _cannot_write()
        self._segment.append(data)

    def _next_segment(self) -> None:
        """Go on in a fresh file. Who waits for the old one is before it in the queue, so it is synced first."""
        try:
            fresh = self._open_segment(self._folder / SEGMENT.format(self._segments))
        except OSError:
            self._broken = True
            return
        self._segments += 1
        self._waiting.put(self._segment)
        self._segment = fresh

    def _write_closed(self) -> None:
        if self._delivered or self._undelivered:
            closed = Closed(tuple(self._delivered), tuple(self._undelivered))
            self._delivered, self._undelivered = [], []
            with suppress(Unavailable):  # nobody waits for it, and what is not closed is written off
                self._append(closed)

    def _tick(self) -> None:
        self._ticker = self._loop.call_later(MARK_INTERVAL_S, self._tick)
        for request_id, progress in list(self._progress.items()):
            mark = progress()
            if mark is not None and mark != self._marked.get(request_id):
                self._marked[request_id] = mark
                with suppress(Unavailable):  # nobody waits for it, and the settlement will be told
                    self._append(mark)

    # The syncing thread

    def _sync_for_ever(self) -> None:
        ended, company = False, 0
        while not ended:
            batch = [self._waiting.get()]
            if company >= COMPANY:
                time.sleep(GATHER_S)
            batch += [self._waiting.get_nowait() for _ in range(self._waiting.qsize())]
            full = [one for one in batch if isinstance(one, Segment)]
            waiting = [one for one in batch if isinstance(one, tuple)]
            ended, company = None in batch, len(waiting)
            self._sync({*full, *(segment for _, segment in waiting), *([self._segment] if ended else ())}, full)
            if waiting:
                self._loop.call_soon_threadsafe(_resolve, waiting, self._broken)

    def _sync(self, segments: set[Segment], full: list[Segment]) -> None:
        try:
            for segment in segments:
                segment.sync()
        except OSError:
            self._broken = True
        for segment in full:
            segment.close()


def _cannot_write() -> Unavailable:
    return Unavailable("The usage journal cannot be written, so nothing is served.", retry_after_s=5)


def _resolve(waiting: list[Waiting], broken: bool) -> None:  # noqa: FBT001 - a callback's argument
    for future, _ in waiting:
        if future.done():
            continue
        if broken:
            future.set_exception(_cannot_write())
        else:
            future.set_result(None)
