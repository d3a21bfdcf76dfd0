"""Reading one run's journal from where one stopped, and letting go of what is no longer needed."""

import mmap
import shutil
from pathlib import Path

from parvis.adapters.journal.folder import is_dead, segments
from parvis.adapters.journal.frames import HEAD_BYTES, frames
from parvis.domain.metering.records import Record


class JournalReader:
    """Follows the segments of one run. Reads whole frames only; a torn tail waits, or is the end of a dead run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._offsets: dict[str, int] = {}
        self._ends: dict[str, int] = {}
        self._finished: list[Path] = []

    @property
    def incarnation(self) -> str:
        return self.folder.name

    def dead(self) -> bool:
        return is_dead(self.folder)

    def read(self) -> list[tuple[int, Record]]:
        """(sequence, record) of all that was appended since the last call, in order."""
        fresh: list[tuple[int, Record]] = []
        self._finished = []
        listed = segments(self.folder)
        for path in listed:
            whole = self._read_on(path, fresh)
            if whole and path is not listed[-1]:
                self._finished.append(path)
        return fresh

    def drop_read_segments(self, before: int | None) -> None:
        """Remove what the last `read` saw to its end, if all of it comes before this sequence (None: in any case).

        What begins there is open. The last segment of that moment stays, since its gateway may have written on in it,
        and so does a damaged one.
        """
        for path in self._finished:
            if before is None or self._ends.get(path.name, 0) < before:
                path.unlink()
                self._offsets.pop(path.name)
                self._ends.pop(path.name, None)
        self._finished = []

    def _read_on(self, path: Path, fresh: list[tuple[int, Record]]) -> bool:
        """Add the whole frames behind the last one read; whether nothing but unused room is behind them."""
        end = self._offsets.get(path.name, 0)
        if path.stat().st_size <= end:
            return True
        with path.open("rb") as segment, mmap.mmap(segment.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for sequence, record, behind in frames(data, end):
                fresh.append((sequence, record))
                self._ends[path.name] = sequence
                end = behind
            self._offsets[path.name] = end
            return not any(data[end : end + HEAD_BYTES])

    def remove(self) -> None:
        """The run is dead and booked: its folder goes."""
        shutil.rmtree(self.folder)


def runs(journal: Path) -> list[JournalReader]:
    """A reader for each run that has a folder; a hidden one is still being made."""
    folders = (folder for folder in sorted(journal.iterdir()) if folder.is_dir())
    return [JournalReader(folder) for folder in folders if not folder.name.startswith(".")]
