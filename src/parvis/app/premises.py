"""What must be right before anything is started: folders, room on the disk, ports. Nothing is left half made."""

import errno
import fcntl
import os
import resource
import shutil
import socket
from pathlib import Path

from parvis.core.errors import Misconfigured
from parvis.settings import Listen, Settings

DISK_BYTES_MIN = 256 << 20
FOLDERS = ("run", "journal", "cache")


def prepare_home(settings: Settings) -> int:
    """Make the data folder (0700) and lock it for this service. Raises Misconfigured; returns the lock's descriptor."""
    home = settings.home
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in FOLDERS:
            (home / name).mkdir(mode=0o700, exist_ok=True)
        lock = os.open(home / "run" / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        raise Misconfigured(f"The data folder {home} cannot be used: {problem.strerror}. Set PARVIS_HOME.") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise Misconfigured(f"Parvis already runs with the data folder {home}. Stop it, or set PARVIS_HOME.") from None
    for unfinished in (home / "journal").glob(".*"):
        # A gateway died while it made its folder. Nothing is in it.
        shutil.rmtree(unfinished, ignore_errors=True)
    free = shutil.disk_usage(home).free
    if free < DISK_BYTES_MIN:
        os.close(lock)
        raise Misconfigured(f"Only {free >> 20} MB are free for {home}; {DISK_BYTES_MIN >> 20} MB are needed.")
    return lock


def raise_descriptor_limit() -> None:
    """A stream needs two descriptors; take all that the machine allows. Children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def bind(name: str, listener: Listen, *, shared: bool = False) -> socket.socket:
    """A bound socket that children inherit. Raises Misconfigured when the port is taken."""
    family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((listener.host, listener.port))
    except OSError as problem:
        sock.close()
        variable = f"PARVIS_{name.upper()}__LISTEN"
        why = "is taken" if problem.errno == errno.EADDRINUSE else f"cannot be used ({problem.strerror})"
        raise Misconfigured(f"{listener.listen} {why}. Stop what uses it, or set {variable}=HOST:PORT.") from None
    sock.settimeout(0)
    return sock


def bind_all(settings: Settings) -> tuple[list[socket.socket], socket.socket, socket.socket]:
    """(one inference socket per worker, console, operator); none is left open when one fails."""
    inference = settings.inference
    bound: list[socket.socket] = []
    try:
        workers = [("inference", settings.inference)] * inference.workers
        for name, listener in (*workers, ("console", settings.console), ("operator", settings.operator)):
            bound.append(bind(name, listener, shared=inference.workers > 1 and name == "inference"))
    except Misconfigured:
        for sock in bound:
            sock.close()
        raise
    return bound[:-2], bound[-2], bound[-1]


def write_operator_token(home: Path, token: str) -> None:
    """The CLI's credential, for this user alone; kept over restarts."""
    path = home / "operator.token"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")
