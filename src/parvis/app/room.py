"""Whether this machine has memory for one more engine process like one that runs. Linux; elsewhere nobody knows."""

from pathlib import Path

SPARE_KB = 256 << 10
"""Of memory that stays free."""


def has_room_for_another(pid: int) -> bool:
    """Weights are mapped from their file and shared, so another needs what this one has for itself alone."""
    own = _figure(Path(f"/proc/{pid}/status"), "RssAnon:")
    free = _figure(Path("/proc/meminfo"), "MemAvailable:")
    return own is not None and free is not None and free > own + own // 4 + SPARE_KB


def _figure(path: Path, name: str) -> int | None:
    """A figure in kB of a file that has one a line."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), None)
