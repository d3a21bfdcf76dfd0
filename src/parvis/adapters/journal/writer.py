"""The journal that a gateway writes.

Promises: `start` and marks are in the page cache when the call returns (the death of the process loses nothing);
`settle` returns when its record is on disk (one `fdatasync` serves all that wait). The loop's thread appends, one
thread syncs; no lock is shared but the queue of who waits.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from parvis.adapters.journal.folder import SEGMENT, hold_lock
from parvis.adapters.journal.frames import frame
from parvis.core.errors import Unavailable
from parvis.domain.metering.records import Closed, Record, Settled, Started

MARK_INTERVAL_S = 0.1
SEGMENT_BYTES_MAX = 8 << 20
BACKLOG_MAX = 10_000
"""Settlements that may wait for the disk before new requests are refused."""

T = TypeVar("T")
Progress = Callable[[], Record | None]


class FileLayer:
    """The three acts on files that durability hangs on; a test records or tears them."""

    def open(self, path: Path) -> int:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.sync_folder(path.parent)
        return descriptor

    def sync_folder(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        os.fsync(descriptor)
        os.close(descriptor)

    def append(self, descriptor: int, data: bytes) -> None:
        written = os.write(descriptor, data)
        if written != len(data):
            raise OSError("short write to the journal")

    def sync(self, descriptor: int) -> None:
        os.fdatasync(descriptor)


class FileJournal:
    """The `Journal` port on files. One instance per gateway run; open it on the loop's thread."""

    def __init__(self, folder: Path, loop: asyncio.AbstractEventLoop, files: FileLayer | None = None) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=False)
        self._folder = folder
        self._loop = loop
        self._files = files or FileLayer()
        self._lock = hold_lock(folder)
        self._sequence = 0
        self._segment = 0
        self._segment_bytes = 0
        self._descriptor = self._files.open(folder / SEGMENT.format(0))
        self._retired: deque[int] = deque()
        self._progress: dict[str, Progress] = {}
        self._marked: dict[str, Record] = {}
        self._delivered: list[str] = []
        self._undelivered: list[str] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._wake = threading.Event()
        self._broken: str | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._sync_for_ever, name="journal-sync", daemon=True)
        self._thread.start()
        self._ticker = loop.call_later(MARK_INTERVAL_S, self._tick)

    @property
    def incarnation(self) -> str:
        return self._folder.name

    def start(self, record: Started, progress: Progress | None) -> None:
        if len(self._waiting) > BACKLOG_MAX:
            raise Unavailable("The usage journal is behind. Try again shortly.", retry_after_s=2)
        self._append(record)
        if progress is not None:
            self._progress[record.request_id] = progress

    async def settle(self, record: Settled) -> None:
        self._progress.pop(record.request_id, None)
        self._marked.pop(record.request_id, None)
        self._append(record)
        done = self._loop.create_future()
        self._waiting.append(done)
        self._wake.set()
        await done

    def close(self, request_id: str, *, delivered: bool) -> None:
        if not (self._delivered or self._undelivered):
            self._loop.call_soon(self._write_closed)
        (self._delivered if delivered else self._undelivered).append(request_id)

    async def end(self) -> None:
        """Write and sync what is left, and let the folder go. Call when no request runs any more."""
        self._ticker.cancel()
        self._write_closed()
        self._ended = True
        self._wake.set()
        await asyncio.to_thread(self._thread.join)
        os.close(self._lock)

    def _append(self, record: Record) -> None:
        if self._broken is not None:
            raise Unavailable("The usage journal cannot be written, so nothing is served.", retry_after_s=5)
        self._sequence += 1
        data = frame(self._sequence, record)
        try:
            self._files.append(self._descriptor, data)
        except OSError as problem:
            self._broken = problem.strerror or "write failed"
            raise Unavailable("The usage journal cannot be written, so nothing is served.", retry_after_s=5) from None
        self._segment_bytes += len(data)
        if self._segment_bytes >= SEGMENT_BYTES_MAX:
            self._next_segment()

    def _next_segment(self) -> None:
        # The syncing thread closes the old one, after its last fdatasync.
        self._segment += 1
        self._segment_bytes = 0
        fresh = self._files.open(self._folder / SEGMENT.format(self._segment))
        self._retired.append(self._descriptor)
        self._descriptor = fresh
        self._wake.set()

    def _write_closed(self) -> None:
        if (self._delivered or self._undelivered) and self._broken is None:
            closed = Closed(tuple(self._delivered), tuple(self._undelivered))
            self._delivered, self._undelivered = [], []
            self._append(closed)

    def _tick(self) -> None:
        self._ticker = self._loop.call_later(MARK_INTERVAL_S, self._tick)
        if self._broken is not None:
            return
        for request_id, progress in list(self._progress.items()):
            mark = progress()
            if mark is not None and mark != self._marked.get(request_id):
                self._marked[request_id] = mark
                self._append(mark)

    def _sync_for_ever(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            ended = self._ended
            # Each waits only after its record was written, so what is taken here is covered by the sync below.
            waiting = _take_all(self._waiting)
            problem = self._sync_all()
            if waiting:
                self._loop.call_soon_threadsafe(_resolve, waiting, problem)
            if ended:
                os.close(self._descriptor)
                return

    def _sync_all(self) -> str | None:
        # The current one first: a rotation between the two lines then shows in the retired ones.
        current = self._descriptor
        retired = _take_all(self._retired)
        try:
            for descriptor in [*retired, current]:
                self._files.sync(descriptor)
        except OSError as problem:
            self._broken = problem.strerror or "sync failed"
        for descriptor in retired:
            os.close(descriptor)
        return self._broken


def _take_all(queue: "deque[T]") -> list[T]:
    """All that lie in it now; safe while the other thread appends."""
    return [queue.popleft() for _ in range(len(queue))]


def _resolve(waiting: "list[asyncio.Future[None]]", problem: str | None) -> None:
    for future in waiting:
        if future.done():
            continue
        if problem is None:
            future.set_result(None)
        else:
            future.set_exception(Unavailable("The usage journal cannot be written, so nothing is served."))
