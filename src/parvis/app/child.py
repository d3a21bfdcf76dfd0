"""What every child process of the supervisor does first: tie its life to its parent, and speak by JSON lines."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import msgspec

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel to kill us when our parent dies. Linux; elsewhere the closed pipe (below) does it."""
    if sys.platform == "linux":
        parent = os.getppid()  # in a container it may well be process 1
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            # It died before we asked.
            sys.exit(1)


def stop_when_told(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    """Call `stop` at SIGTERM, or when the supervisor's pipe (our stdin) ends. SIGINT is the supervisor's alone."""
    loop.add_signal_handler(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def readable() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin.fileno())
            stop()

    loop.add_reader(sys.stdin.fileno(), readable)


def report(message: dict[str, Any]) -> None:
    """Tell the supervisor, in one line of JSON on stdout."""
    sys.stdout.write(msgspec.json.encode(message).decode() + "\n")
    sys.stdout.flush()
