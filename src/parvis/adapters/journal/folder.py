"""Where journals lie: `journal/<incarnation>/`, with a lock that its gateway holds while it lives."""

import fcntl
import os
from pathlib import Path

from parvis.core.errors import Conflict

LOCK = "lock"
SEGMENT = "{:08d}.segment"


def segments(folder: Path) -> list[Path]:
    """The segments of one run, oldest first."""
    return sorted(folder.glob("*.segment"))


def make_locked(folder: Path) -> int:
    """Make a run's folder; who sees it sees it locked, so that nobody takes a gateway that starts for a dead one."""
    hidden = folder.with_name(f".{folder.name}")
    hidden.mkdir(mode=0o700, parents=True)
    descriptor = hold_lock(hidden)
    hidden.rename(folder)
    sync_folder(folder.parent)
    return descriptor


def sync_folder(folder: Path) -> None:
    """The names in it are on disk on return."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hold_lock(folder: Path) -> int:
    """Lock a run's folder for as long as the descriptor is open. Raises Conflict when its gateway lives."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Conflict(f"the gateway of journal {folder.name} is alive") from None
    return descriptor


def is_dead(folder: Path) -> bool:
    """Whether the gateway of this run has ended: its lock is free, and nothing will be written any more."""
    try:
        os.close(hold_lock(folder))
    except Conflict:
        return False
    return True
