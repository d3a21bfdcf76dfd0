"""Where an application reads its key: a file of its own, or a line of an environment file. Never half written."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from parvis.core.errors import Conflict, Misconfigured
from parvis.core.secret import Secret
from parvis.domain.identity.key_text import read_key

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OWED = b"reload\n"


class KeyPlace(Protocol):
    """Where one key lies."""

    @property
    def path(self) -> Path: ...

    def read(self) -> Secret:
        """The key. Raises Misconfigured."""

    def write(self, key: Secret) -> None:
        """Put another in its place, durably, whole or not at all. Raises Misconfigured."""


class KeyFile:
    """A file that holds the key and nothing else."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    def read(self) -> Secret:
        """See the port."""
        return _key(_text(self.path).strip(), self.path)

    def write(self, key: Secret) -> None:
        """See the port."""
        _replace(self.path, f"{key.reveal()}\n")


class EnvFile:
    """A file of `NAME=value` lines; all but the key stays as it is."""

    def __init__(self, path: Path, name: str) -> None:
        if not _VARIABLE.fullmatch(name):
            raise Misconfigured(f"'{name[:100]}' is no name of a variable.")
        self.path = path.resolve()
        self._name = name
        self._line = re.compile(rf"^(\s*(?:export\s+)?{name}\s*=\s*[\"']?)(sk-parvis_[0-9a-z_]+)", re.MULTILINE)

    def read(self) -> Secret:
        """See the port. Of several lines the last counts, as it does for who reads such files."""
        found = self._line.findall(_text(self.path))
        if not found:
            raise Misconfigured(f"{self.path} has no line {self._name}=sk-parvis_...")
        return _key(found[-1][1], self.path)

    def write(self, key: Secret) -> None:
        """See the port."""
        _replace(self.path, self._line.sub(lambda line: line[1] + key.reveal(), _text(self.path)))


class Errand:
    """One sync at a time of one place, and what is still owed from the last: a reload of the application."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @property
    def reload_owed(self) -> bool:
        """Whether another key was put there and the application may not know."""
        return os.pread(self._descriptor, len(_OWED), 0) == _OWED

    def owe(self, *, reload: bool) -> None:
        """Remember it, durably."""
        os.ftruncate(self._descriptor, 0)
        if reload:
            os.pwrite(self._descriptor, _OWED, 0)
        os.fsync(self._descriptor)


@contextmanager
def errand(place: KeyPlace) -> Iterator[Errand]:
    """Alone with a place. Raises Conflict when another sync of it runs, Misconfigured when nothing can be written."""
    path = place.path.with_name(f".{place.path.name}.sync")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as problem:
        raise Misconfigured(f"{path} cannot be written: {problem.strerror}.") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield Errand(descriptor)
    except BlockingIOError:
        raise Conflict(f"Another sync of {place.path} runs.") from None
    finally:
        os.close(descriptor)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as problem:
        raise Misconfigured(f"{path} cannot be read: {problem}.") from None


def _key(text: str, path: Path) -> Secret:
    if read_key(text) is None:
        raise Misconfigured(f"{path} holds no whole API key sk-parvis_...")
    return Secret(text, f"key of {path}")


def _replace(path: Path, text: str) -> None:
    """By a file beside it that takes its name, with its owner, for its owner alone."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        with suppress(FileNotFoundError):
            fresh.unlink()  # of a sync that died
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            before = path.stat()
            if (before.st_uid, before.st_gid) != (os.getuid(), os.getgid()):
                os.fchown(descriptor, before.st_uid, before.st_gid)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        fresh.rename(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(folder)
        os.close(folder)
    except OSError as problem:
        raise Misconfigured(f"{path} cannot be written: {problem.strerror}.") from None
