"""What must be right before anything is started: folders, room on the disk. Nothing is left half made."""

import fcntl
import os
import resource
import shutil
from pathlib import Path

from parvis.core.errors import Misconfigured
from parvis.settings import Settings

DISK_BYTES_MIN = 256 << 20
FOLDERS = ("run", "journal", "cache")


def prepare_home(settings: Settings) -> int:
    """Make the data folder (0700) and lock it for this service. Raises Misconfigured; returns the lock's descriptor."""
    home = settings.home
    make_folders(home)
    lock = os.open(home / "run" / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise Misconfigured(
            f"Parvis already runs with the data folder {home}. Stop it, or set PARVIS_HOME. "
            "`parvis up --take-over` puts another release in its place."
        ) from None
    for unfinished in (home / "journal").glob(".*"):
        # A gateway died while it made its folder. Nothing is in it.
        shutil.rmtree(unfinished, ignore_errors=True)
    try:
        demand_room(home)
    except Misconfigured:
        os.close(lock)
        raise
    return lock


def make_folders(home: Path) -> None:
    """Raises Misconfigured."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in FOLDERS:
            (home / name).mkdir(mode=0o700, exist_ok=True)
    except OSError as problem:
        raise Misconfigured(f"The data folder {home} cannot be used: {problem.strerror}. Set PARVIS_HOME.") from None


def demand_room(home: Path) -> None:
    """Raises Misconfigured when the disk is too full to begin."""
    free = shutil.disk_usage(home).free
    if free < DISK_BYTES_MIN:
        raise Misconfigured(f"Only {free >> 20} MB are free for {home}; {DISK_BYTES_MIN >> 20} MB are needed.")


def raise_descriptor_limit() -> None:
    """A stream needs two descriptors; take all that the machine allows. Children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def forbid_core_dumps() -> None:
    """A core would hold prompts, answers and keys. Children inherit it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def write_operator_token(home: Path, token: str) -> None:
    """The CLI's credential, for this user alone; kept over restarts."""
    path = home / "operator.token"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")
