"""Reading one run's journal from where one stopped, and letting go of what is no longer needed."""

import shutil
from pathlib import Path

from parvis.adapters.journal.folder import is_dead, segments
from parvis.adapters.journal.frames import frames
from parvis.domain.metering.records import Record


class JournalReader:
    """Follows the segments of one run. Reads whole frames only; a torn tail waits, or is the end of a dead run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._offsets: dict[str, int] = {}

    @property
    def incarnation(self) -> str:
        return self.folder.name

    def dead(self) -> bool:
        return is_dead(self.folder)

    def read(self) -> list[tuple[int, Record]]:
        """(sequence, record) of all that was appended since the last call, in order."""
        fresh: list[tuple[int, Record]] = []
        for path in segments(self.folder):
            start = self._offsets.get(path.name, 0)
            if path.stat().st_size <= start:
                continue
            with path.open("rb") as segment:
                segment.seek(start)
                data = segment.read()
            end = 0
            for sequence, record, behind in frames(data):
                fresh.append((sequence, record))
                end = behind
            self._offsets[path.name] = start + end
        return fresh

    def drop_read_segments(self) -> None:
        """Remove all segments but the last. Only when nothing that they hold is open any more."""
        for path in segments(self.folder)[:-1]:
            path.unlink()

    def remove(self) -> None:
        """The run is dead and booked: its folder goes."""
        shutil.rmtree(self.folder)


def runs(journal: Path) -> list[JournalReader]:
    """A reader for each run that has a folder."""
    return [JournalReader(folder) for folder in sorted(journal.iterdir()) if folder.is_dir()]
