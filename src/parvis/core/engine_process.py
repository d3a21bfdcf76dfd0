"""What every engine's process does: it reads one line, says one line, and lives as long as its parent.

The first line of its standard input is the `Spec`: what to serve. The pipe stays open. The one line of its standard
output is `{"address": "http://127.0.0.1:PORT"}` when the first request would be fast, or `{"error": "one sentence"}`
before exit status 1.
"""

import ctypes
import json
import os
import signal
import threading
from typing import Any, TypeVar

PR_SET_PDEATHSIG = 1  # prctl(2)
SPEC_BYTES_MAX = 65_536
STDIN, STDOUT, STDERR = 0, 1, 2
T = TypeVar("T")


class NotReady(Exception):
    """The engine did not come up; the message is one sentence for the operator."""


class Report:
    """Our one line. From the beginning on, whatever libraries print goes to standard error."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(STDOUT), "w", encoding="utf-8")
        os.dup2(STDERR, STDOUT)

    def ready(self, address: str) -> None:
        """The next request would be fast."""
        self._say({"address": address})

    def failed(self, why: NotReady) -> None:
        """There will be no next request."""
        self._say({"error": str(why)})

    def _say(self, fact: dict[str, str]) -> None:
        self._out.write(json.dumps(fact) + "\n")
        self._out.flush()


def first_line() -> bytes:
    """What to serve. Blocks; reads nothing of what comes after it."""
    with open(STDIN, "rb", buffering=0, closefd=False) as pipe:
        return pipe.readline(SPEC_BYTES_MAX)


def spec_of(kind: type[T], line: bytes) -> T:
    """The line as a dataclass of this kind. Raises NotReady."""
    try:
        said: dict[str, Any] = json.loads(line)
        return kind(**said)
    except (ValueError, TypeError) as error:
        raise NotReady("The engine's specification is not a JSON object with the fields of Spec.") from error


def tie_to_parent() -> None:
    """Die with the parent: by signal when it dies, and when it closes the pipe that is our standard input."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_exit_at_end_of_input, daemon=True).start()


def _exit_at_end_of_input() -> None:
    while os.read(STDIN, 4096):
        pass
    os._exit(0)


def silence() -> None:
    """Drop whatever is printed from now on: it may be the callers' content."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, STDOUT)
    os.dup2(null, STDERR)
    os.close(null)
