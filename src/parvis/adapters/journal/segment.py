"""One file of a journal, mapped into memory.

Copying into a shared mapping is writing to the page cache: the bytes outlive the process at once, without a system
call, and reach the disk by `fdatasync`. The room is reserved when the file is made, so that a full disk shows there
and not in the middle of a request. Unused room is zeros, which no frame begins with.
"""

import mmap
import os
from pathlib import Path

from parvis.adapters.journal.folder import sync_folder

SEGMENT_BYTES = 8 << 20


class Segment:
    """Room for `SEGMENT_BYTES` of frames. Raises OSError when it cannot be made or synced."""

    def __init__(self, path: Path, size: int = SEGMENT_BYTES) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(self._descriptor, 0, size)
            self._map = mmap.mmap(self._descriptor, size)
            sync_folder(path.parent)
        except OSError:
            os.close(self._descriptor)
            path.unlink()
            raise
        self._size = size
        self._end = 0

    def fits(self, length: int) -> bool:
        """Whether so many bytes can still be appended."""
        return self._end + length <= self._size

    def append(self, data: bytes) -> None:
        """In the page cache on return."""
        end = self._end + len(data)
        self._map[self._end : end] = data
        self._end = end

    def sync(self) -> None:
        """On disk on return: all that was appended before the call."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Nothing is appended any more."""
        self._map.close()
        os.close(self._descriptor)
