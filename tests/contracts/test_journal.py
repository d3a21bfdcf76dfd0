"""The usage journal: what was promised to be durable is, what was torn ends it, and nothing hangs on a full disk."""

import asyncio
import errno
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from parvis.adapters.journal.folder import segments
from parvis.adapters.journal.frames import frames
from parvis.adapters.journal.reader import JournalReader, runs
from parvis.adapters.journal.segment import Segment
from parvis.adapters.journal.writer import BACKLOG_MAX, FileJournal
from parvis.core.errors import Unavailable
from parvis.core.tokens import TokenCount
from parvis.domain.metering.records import Closed, Marked, Operation, Outcome, Record, Settled, Started

GENEROUS_S = 30
STARTED = Started("r", "org", "t", "k", "m", Operation.CHAT, "e-0", "p1", 10**12, True, 1_784_030_400_000)  # noqa: FBT003 - streamed
SETTLED = Settled("r", Outcome.COMPLETED, TokenCount(1, 2, 3, 4), billed_pico_euro=7)


def started(number: int) -> Started:
    return STARTED._replace(request_id=f"req_{number:06d}")


def settled(number: int) -> Settled:
    return SETTLED._replace(request_id=f"req_{number:06d}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal" / "gw_1"


@asynccontextmanager
async def journal_in(folder: Path, open_segment: Callable[[Path], Segment] = Segment) -> AsyncIterator[FileJournal]:
    """A journal of a gateway that ends in good order, whatever the disk does."""
    journal = FileJournal(folder, asyncio.get_running_loop(), open_segment)
    yield journal
    async with asyncio.timeout(GENEROUS_S):
        await journal.end()


def records(folder: Path) -> list[Record]:
    return [record for _, record in JournalReader(folder).read()]


# ------------------------------------------------------------------------------------------------- there and back


async def test_what_was_written_reads_back_in_order(folder: Path) -> None:
    async with journal_in(folder) as journal:
        journal.start(started(1), None)
        journal.start(started(2), None)
        await journal.settle(settled(2))
        journal.close("req_000002", delivered=True)
        await journal.settle(settled(1))
    numbered = JournalReader(folder).read()
    assert [sequence for sequence, _ in numbered] == list(range(1, 6))
    assert [record for _, record in numbered][:3] == [started(1), started(2), settled(2)]
    assert Closed(("req_000002",)) in records(folder)


async def test_answers_that_close_together_share_a_record(folder: Path) -> None:
    async with journal_in(folder) as journal:
        for number in range(3):
            journal.close(f"r{number}", delivered=number != 1)
        await asyncio.sleep(0)
        journal.close("later", delivered=True)
    assert records(folder) == [Closed(("r0", "r2"), ("r1",)), Closed(("later",))]


async def test_a_stream_is_marked_while_it_runs_and_only_when_it_moved(folder: Path) -> None:
    marks = iter([None, Marked("r", TokenCount(output=1), 1), Marked("r", TokenCount(output=1), 1)])
    asked = asyncio.Event()

    def progress() -> Record | None:
        mark = next(marks, None)
        if mark is None and len(records(folder)) > 1:
            asked.set()
        return mark

    async with journal_in(folder) as journal, asyncio.timeout(GENEROUS_S):
        journal.start(STARTED, progress)
        await asked.wait()
        await journal.settle(SETTLED)
    assert records(folder) == [STARTED, Marked("r", TokenCount(output=1), 1), SETTLED]


async def test_a_settled_request_is_marked_no_more(folder: Path) -> None:
    async with journal_in(folder) as journal:
        journal.start(STARTED, lambda: Marked("r", TokenCount(output=random.randrange(10**9)), 1))
        await journal.settle(SETTLED)
        await asyncio.sleep(0.3)
    assert records(folder)[-1] == SETTLED


async def test_a_reader_follows_a_journal_that_grows(folder: Path) -> None:
    async with journal_in(folder) as journal:
        reader = JournalReader(folder)
        assert reader.read() == []
        for number in range(3):
            journal.start(started(number), None)
            assert reader.read() == [(number + 1, started(number))]
        assert reader.read() == []


# --------------------------------------------------------------------------------------------------- durability


class Disk:
    """Remembers what was appended to each segment, and how much of it a sync has covered since."""

    def __init__(self, size: int = 1 << 20) -> None:
        self.size = size
        self.appended: dict[Path, list[Record]] = {}
        self.synced: dict[Path, int] = {}

    def open(self, path: Path) -> Segment:
        return RecordingSegment(path, self)

    def durable(self) -> set[Record]:
        kept = {path: all_of[: self.synced.get(path, 0)] for path, all_of in self.appended.items()}
        return {record for all_of in kept.values() for record in all_of}


class RecordingSegment(Segment):
    """A real segment that tells its disk what happens."""

    def __init__(self, path: Path, disk: Disk) -> None:
        super().__init__(path, disk.size)
        self._path, self._disk = path, disk
        disk.appended[path] = []

    def append(self, data: bytes) -> None:
        super().append(data)
        self._disk.appended[self._path] += [record for _, record, _ in frames(data)]

    def sync(self) -> None:
        covered = len(self._disk.appended[self._path])
        super().sync()
        self._disk.synced[self._path] = covered


@pytest.fixture
def impatient_threads() -> Iterator[None]:
    """Threads take turns after every few instructions, so that they meet in every order."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


async def lives(journal: FileJournal, disk: Disk, numbers: range) -> list[int]:
    """Requests one after the other; those that were told to be durable and were not."""
    broken = []
    for number in numbers:
        journal.start(started(number), None)
        await journal.settle(settled(number))
        if not {started(number), settled(number)} <= disk.durable():
            broken.append(number)
    return broken


@pytest.mark.parametrize("size", [300, 700, 5_000, 1 << 20])
async def test_a_settled_request_is_on_disk_when_settle_returns(
    folder: Path, impatient_threads: None, size: int
) -> None:
    disk = Disk(size)
    async with journal_in(folder, disk.open) as journal, asyncio.timeout(60):
        tasks = [lives(journal, disk, range(n * 1000, n * 1000 + 20)) for n in range(32)]
        broken = await asyncio.gather(*tasks)
    assert [number for one in broken for number in one] == []
    assert len(records(folder)) == 32 * 20 * 2


async def test_control_a_sync_that_is_skipped_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecordingSegment, "sync", lambda _: None)
    disk = Disk()
    async with journal_in(folder, disk.open) as journal:
        assert await lives(journal, disk, range(3)) == [0, 1, 2]


async def test_one_sync_serves_all_that_wait(folder: Path) -> None:
    syncs = 0

    class CountingSegment(Segment):
        def sync(self) -> None:
            nonlocal syncs
            syncs += 1
            super().sync()

    async with journal_in(folder, CountingSegment) as journal:
        await asyncio.gather(*[journal.settle(settled(number)) for number in range(500)])
        assert syncs <= 10


async def test_a_start_waits_for_no_disk(folder: Path) -> None:
    disk = Disk()
    async with journal_in(folder, disk.open) as journal:
        journal.start(STARTED, None)
        assert records(folder) == [STARTED]
        assert disk.durable() == set()


# ----------------------------------------------------------------------------------------------------- segments


def small(path: Path) -> Segment:
    """Room for three records."""
    return Segment(path, 300)


async def test_segments_follow_one_another_and_read_as_one(folder: Path) -> None:
    async with journal_in(folder, small) as journal:
        for number in range(20):
            journal.start(started(number), None)
    assert len(segments(folder)) > 4
    assert records(folder) == [started(number) for number in range(20)]


async def test_read_segments_are_dropped_and_nothing_is_read_twice(folder: Path) -> None:
    async with journal_in(folder, small) as journal:
        reader, seen = JournalReader(folder), []
        for number in range(20):
            journal.start(started(number), None)
            seen += reader.read()
            reader.drop_read_segments(None)
            assert len(segments(folder)) <= 2
    assert [record for _, record in seen] == [started(number) for number in range(20)]


async def test_segments_go_though_something_later_is_always_open(folder: Path) -> None:
    async with journal_in(folder, small) as journal:
        reader = JournalReader(folder)
        for number in range(20):
            journal.start(started(number), None)
        read = reader.read()
        open_since = read[-3][0]
        reader.drop_read_segments(open_since)
        kept = [sequence for sequence, _ in JournalReader(folder).read()]
        assert len(segments(folder)) < 4
        assert set(range(open_since, read[-1][0] + 1)) <= set(kept)


async def test_what_was_written_after_the_reading_is_never_dropped(folder: Path) -> None:
    async with journal_in(folder, small) as journal:
        reader = JournalReader(folder)
        seen = reader.read()
        for number in range(20):  # the segment that was the last when it was read is full by now
            journal.start(started(number), None)
        reader.drop_read_segments(None)
        seen += reader.read()
    assert [record for _, record in seen] == [started(number) for number in range(20)]


async def test_a_damaged_segment_is_kept_as_evidence(folder: Path) -> None:
    async with journal_in(folder, small) as journal:
        for number in range(12):
            journal.start(started(number), None)
        *full, last = segments(folder)
        damage(full[0])
        reader = JournalReader(folder)
        reader.read()
        reader.drop_read_segments(None)
        assert segments(folder) == [full[0], last]


def damage(segment: Path) -> None:
    """Flip a bit in the middle of its first record."""
    altered = bytearray(segment.read_bytes())
    altered[60] ^= 1
    segment.write_bytes(altered)


# ---------------------------------------------------------------------------------------------------- full disks


class FullDisk:
    """Gives room for so many segments; its syncs fail on demand."""

    def __init__(self, segments: int = 1, *, syncs: bool = True) -> None:
        self._left = segments
        self.syncs = syncs

    def open(self, path: Path) -> Segment:
        if not self._left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._left -= 1
        return FailingSegment(path, self)


class FailingSegment(Segment):
    def __init__(self, path: Path, disk: FullDisk) -> None:
        super().__init__(path, 300)
        self._disk = disk

    def sync(self) -> None:
        if not self._disk.syncs:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync()


async def fill(journal: FileJournal) -> None:
    """Start requests until the journal refuses."""
    for number in range(100):
        journal.start(started(number), None)


async def test_on_a_full_disk_nothing_starts_and_nothing_settles(folder: Path) -> None:
    async with journal_in(folder, FullDisk().open) as journal, asyncio.timeout(GENEROUS_S):
        for _ in range(2):
            with pytest.raises(Unavailable) as refused:
                await fill(journal)
            assert refused.value.retry_after_s
            with pytest.raises(Unavailable):
                await journal.settle(SETTLED)
    assert all(isinstance(record, Started) for record in records(folder))


async def test_a_disk_that_fills_up_while_some_wait_leaves_nobody_waiting(folder: Path) -> None:
    async def end(journal: FileJournal, number: int) -> None:
        await journal.settle(settled(number))

    async with journal_in(folder, FullDisk(segments=2).open) as journal, asyncio.timeout(GENEROUS_S):
        ends = await asyncio.gather(*[end(journal, n) for n in range(40)], return_exceptions=True)
    assert {type(end) for end in ends} <= {type(None), Unavailable}
    assert isinstance(ends[-1], Unavailable)


async def test_a_sync_that_fails_is_told_to_all_that_wait_and_ends_the_serving(folder: Path) -> None:
    disk = FullDisk(syncs=False)
    async with journal_in(folder, disk.open) as journal, asyncio.timeout(GENEROUS_S):
        ends = await asyncio.gather(*[journal.settle(settled(n)) for n in range(3)], return_exceptions=True)
        assert [type(end) for end in ends] == [Unavailable] * 3
        disk.syncs = True  # what was lost by a failed sync stays lost: no later one can be believed
        with pytest.raises(Unavailable):
            journal.start(STARTED, None)
        with pytest.raises(Unavailable):
            await journal.settle(SETTLED)


async def test_marks_and_closings_on_a_full_disk_raise_to_nobody(folder: Path) -> None:
    loop, told = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: told.append(context))
    async with journal_in(folder, FullDisk().open) as journal:
        journal.start(STARTED, lambda: Marked("r" * 300, TokenCount(), random.randrange(10**9)))
        await asyncio.sleep(0.3)
        journal.close("c" * 300, delivered=True)
        await asyncio.sleep(0.05)
        journal.close("d" * 300, delivered=True)
    assert told == []
    assert records(folder) == [STARTED]


async def test_after_its_end_a_journal_takes_nothing(folder: Path) -> None:
    async with journal_in(folder) as journal:
        journal.start(STARTED, None)
    async with asyncio.timeout(GENEROUS_S):
        with pytest.raises(Unavailable):
            journal.start(STARTED, None)
        with pytest.raises(Unavailable):
            await journal.settle(SETTLED)
    journal.close("r", delivered=True)
    await asyncio.sleep(0.01)
    assert records(folder) == [STARTED]


async def test_when_the_disk_is_behind_no_request_starts(folder: Path) -> None:
    begun, slow = threading.Event(), threading.Event()

    class SlowSegment(Segment):
        def sync(self) -> None:
            begun.set()
            slow.wait(GENEROUS_S)
            super().sync()

    async with journal_in(folder, SlowSegment) as journal, asyncio.timeout(GENEROUS_S):
        waiting = [asyncio.ensure_future(journal.settle(settled(0)))]
        await asyncio.to_thread(begun.wait, GENEROUS_S)
        waiting += [asyncio.ensure_future(journal.settle(settled(n))) for n in range(1, BACKLOG_MAX + 2)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="behind"):
            journal.start(STARTED, None)
        slow.set()
        await asyncio.gather(*waiting)
        journal.start(STARTED, None)


# ------------------------------------------------------------------------------------------- the living, the dead

GATEWAY = """
import asyncio, sys
from pathlib import Path
from parvis.adapters.journal.writer import FileJournal
from parvis.domain.metering.records import Operation, Started

async def main():
    journal = FileJournal(Path(sys.argv[1]), asyncio.get_running_loop())
    journal.start(Started("r", "org", "t", "k", "m", Operation.CHAT, "e-0", "p1", 1, True, 0), None)
    print("ready", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_a_run_is_dead_when_it_has_ended_and_not_before(folder: Path) -> None:
    async with journal_in(folder):
        reader = JournalReader(folder)
        assert not reader.dead()
        assert not reader.dead()
    assert reader.dead()
    assert reader.dead()


def test_a_killed_gateway_is_dead_and_what_it_wrote_is_there(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", GATEWAY, str(folder)], stdout=subprocess.PIPE) as gateway:
        try:
            assert gateway.stdout is not None
            assert gateway.stdout.readline() == b"ready\n"
            assert not JournalReader(folder).dead()
        finally:
            gateway.send_signal(signal.SIGKILL)
    assert JournalReader(folder).dead()
    assert [type(record) for record in records(folder)] == [Started]


async def test_a_gateway_that_starts_is_never_taken_for_a_dead_one(tmp_path: Path) -> None:
    stop = threading.Event()
    seen: list[str] = []

    def watch() -> None:
        while not stop.is_set():
            seen.extend(reader.incarnation for reader in runs(tmp_path) if reader.dead())

    watcher = threading.Thread(target=watch)
    watcher.start()
    loop = asyncio.get_running_loop()
    journals = [FileJournal(tmp_path / f"gw_{n}", loop, small) for n in range(100)]
    stop.set()
    watcher.join()
    assert seen == []
    await asyncio.gather(*[journal.end() for journal in journals])


async def test_a_run_of_a_known_name_is_not_written_over(folder: Path) -> None:
    async with journal_in(folder) as journal:
        journal.start(STARTED, None)
        with pytest.raises(OSError, match="not empty"):
            FileJournal(folder, asyncio.get_running_loop())
    assert records(folder) == [STARTED]


async def test_runs_are_found_and_removed(tmp_path: Path) -> None:
    for name in ("gw_2", "gw_1"):
        async with journal_in(tmp_path / name):
            pass
    (tmp_path / "stray").write_text("")
    found = runs(tmp_path)
    assert [reader.incarnation for reader in found] == ["gw_1", "gw_2"]
    found[0].remove()
    assert [reader.incarnation for reader in runs(tmp_path)] == ["gw_2"]
