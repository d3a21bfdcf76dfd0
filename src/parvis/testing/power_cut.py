"""What a power cut may leave of a journal: a recording of what was written and synced, and the disks that can follow.

    tape = Tape()
    with tape.watching_syncs():
        journal = FileJournal(folder, loop, tape.open_segment)
        ...  # requests; tape.acknowledge(request_id) as each is told to be durable
    tape.after_cut(at=1234, dice=Random(1), folder=elsewhere)  # reads like a journal whose machine lost its power

The syncs that count are those that reach the kernel: `os.fdatasync` of a segment and `os.fsync` of its folder. What no
sync had begun after may be on disk or not, each sector for itself, in any order; one of them may be half written.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple
from unittest.mock import patch

from parvis.adapters.journal.segment import Segment

SECTOR_BYTES = 512
SEGMENT_BYTES = 4096
"""Small, so that a few requests fill several."""


class Created(NamedTuple):
    """A segment; after a cut it is there only if its folder was synced."""

    file: str


class Wrote(NamedTuple):
    """Bytes that are in the page cache."""

    file: str
    offset: int
    data: bytes


class Synced(NamedTuple):
    """A sync has ended; it covers what was on the tape when it began. Of a folder (`.`), names."""

    file: str
    covered: int


class Acknowledged(NamedTuple):
    """Somebody was told that a request is durable."""

    request_id: str


Act = Created | Wrote | Synced | Acknowledged


class Tape:
    """The acts of one journal, in the order in which they ended."""

    def __init__(self) -> None:
        self.acts: list[Act] = []

    def open_segment(self, path: Path) -> Segment:
        """For `FileJournal`."""
        self.acts.append(Created(path.name))
        return _TapedSegment(path, self)

    def acknowledge(self, request_id: str) -> None:
        self.acts.append(Acknowledged(request_id))

    @contextmanager
    def watching_syncs(self) -> Iterator[None]:
        """Meanwhile every sync of a file or folder by this process is on the tape."""
        fdatasync, fsync = os.fdatasync, os.fsync

        def data(descriptor: int) -> None:
            self._sync(descriptor, fdatasync, Path(f"/proc/self/fd/{descriptor}").readlink().name)

        def names(descriptor: int) -> None:
            self._sync(descriptor, fsync, ".")

        with patch("os.fdatasync", data), patch("os.fsync", names):
            yield

    def _sync(self, descriptor: int, sync: Callable[[int], None], name: str) -> None:
        covered = len(self.acts)
        sync(descriptor)
        self.acts.append(Synced(name, covered))

    def acknowledged(self, at: int) -> set[str]:
        """Who was told before the cut."""
        return {act.request_id for act in self.acts[:at] if isinstance(act, Acknowledged)}

    def after_cut(self, at: int, dice: Random, folder: Path) -> None:
        """Write into this empty folder what may be found when the power goes before act number `at`."""
        named = self._covered(".", at)
        for number, act in enumerate(self.acts[:at]):
            if isinstance(act, Created) and (number < named or dice.random() < 0.5):  # noqa: PLR2004 - heads or tails
                (folder / act.file).write_bytes(self._content(act.file, at, dice))

    def _content(self, file: str, at: int, dice: Random) -> bytes:
        covered = self._covered(file, at)
        written = [(n, act) for n, act in enumerate(self.acts[:at]) if isinstance(act, Wrote) and act.file == file]
        disk = _apply(bytes(SEGMENT_BYTES), [act for n, act in written if n < covered])
        afterwards = [act for n, act in written if n >= covered]
        if covered == 0 and dice.random() < 0.2:  # noqa: PLR2004 - not even its length was synced
            return disk[: dice.randrange(SEGMENT_BYTES)]
        return _lose(disk, afterwards, dice)

    def _covered(self, file: str, at: int) -> int:
        """How much of the tape the last sync of it covers."""
        return max((act.covered for act in self.acts[:at] if isinstance(act, Synced) and act.file == file), default=0)


class _TapedSegment(Segment):
    """A real segment whose writes are on the tape. Its syncs are caught where they reach the kernel."""

    def __init__(self, path: Path, tape: Tape) -> None:
        super().__init__(path, SEGMENT_BYTES)
        self._file, self._tape, self._written = path.name, tape, 0

    def append(self, data: bytes) -> None:
        super().append(data)
        self._tape.acts.append(Wrote(self._file, self._written, data))
        self._written += len(data)


def _apply(disk: bytes, written: list[Wrote]) -> bytes:
    new = bytearray(disk)
    for act in written:
        new[act.offset : act.offset + len(act.data)] = act.data
    return bytes(new)


def _lose(disk: bytes, written: list[Wrote], dice: Random) -> bytes:
    """Of unsynced writes: the first few in whole; or of each sector another few; or one sector torn at any byte."""
    reached = _apply(disk, written[: dice.randint(0, len(written))])
    if dice.random() < 0.3:  # noqa: PLR2004 - now and then the disk kept the order
        return reached
    states = [disk, reached, _apply(disk, written)]
    sectors = [dice.choice(states)[at : at + SECTOR_BYTES] for at in range(0, len(disk), SECTOR_BYTES)]
    torn, cut = dice.randrange(len(sectors)), dice.randrange(SECTOR_BYTES)
    old, new = (state[torn * SECTOR_BYTES :][:SECTOR_BYTES] for state in (disk, states[2]))
    sectors[torn] = new[:cut] + old[cut:]
    return b"".join(sectors)
