"""The journal that a gateway writes.

Promises: `start` and marks are in the page cache when the call returns (the death of the process loses nothing);
`settle` returns when its record is on disk (one `fdatasync` serves all that wait). The loop's thread appends; how
records come to disk is told in `syncing`.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from parvis.adapters.journal.folder import SEGMENT, make_locked
from parvis.adapters.journal.frames import frame
from parvis.adapters.journal.segment import Segment
from parvis.adapters.journal.syncing import Syncer, cannot_write
from parvis.core.errors import Unavailable
from parvis.domain.metering.records import Closed, Record, Settled, Started

MARK_INTERVAL_S = 0.2
BACKLOG_MAX = 10_000
"""Settlements that may wait for the disk before new requests are refused."""

Progress = Callable[[], Record | None]
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
        self._full_disk = False
        self._ended = False
        self._syncer = Syncer(loop, self._segment)
        self._ticker = loop.call_later(MARK_INTERVAL_S, self._tick)

    @property
    def incarnation(self) -> str:
        """The id of this gateway run: its folder's name."""
        return self._folder.name

    def start(self, record: Started, progress: Progress | None) -> None:
        """See the port."""
        if self._syncer.backlog > BACKLOG_MAX:
            raise Unavailable("The usage journal is behind. Try again shortly.", retry_after_s=2)
        self._append(record)
        if progress is not None:
            self._progress[record.request_id] = progress

    def settle(self, record: Settled) -> "asyncio.Future[None]":
        """See the port."""
        self._progress.pop(record.request_id, None)
        self._marked.pop(record.request_id, None)
        self._append(record)
        return self._syncer.durable()

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
        await self._syncer.end()
        os.close(self._lock)

    @property
    def _closed(self) -> bool:
        return self._full_disk or self._ended or self._syncer.broken

    def _append(self, record: Record) -> None:
        self._sequence += 1
        data = frame(self._sequence, record)
        if not (self._closed or self._segment.fits(len(data))):
            self._next_segment()
        if self._closed:
            raise cannot_write()
        self._segment.append(data)

    def _next_segment(self) -> None:
        """Go on in a fresh file."""
        try:
            fresh = self._open_segment(self._folder / SEGMENT.format(self._segments))
        except OSError:
            self._full_disk = True
            return
        self._segments += 1
        self._segment = fresh
        self._syncer.next(fresh)

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
