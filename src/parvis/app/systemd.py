"""What a service manager gives and hears, in systemd's words: sockets at the start, then the state of the service.

Sources: sd_listen_fds(3), sd_notify(3).
"""

import os
import socket
import time
from contextlib import suppress

from parvis.app.sockets import misplaced
from parvis.core.errors import Misconfigured
from parvis.settings import Settings

_FIRST_DESCRIPTOR = 3
_NAMES = ("inference", "console", "operator")


def given_sockets(settings: Settings) -> dict[str, list[socket.socket]]:
    """The sockets that were bound for us, by name; they are ours alone from now on. Raises Misconfigured."""
    told = {name: os.environ.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS", "FDNAMES")}
    given: dict[str, list[socket.socket]] = {}
    if told["PID"] != str(os.getpid()):
        return given
    names = told["FDNAMES"].split(":")
    for place in range(int(told["FDS"] or 0)):
        sock = socket.socket(fileno=_FIRST_DESCRIPTOR + place)
        sock.settimeout(0)
        given.setdefault(names[place] if place < len(names) else "", []).append(sock)
    if strange := sorted(set(given) - set(_NAMES)):
        raise Misconfigured(
            f"A socket unit gives sockets named {', '.join(strange)}. FileDescriptorName= must be one of "
            f"{', '.join(_NAMES)}."
        )
    if wrong := misplaced(settings, given):
        raise Misconfigured(
            f"A socket unit listens on {', '.join(wrong)}, and the settings do not. Make both the same."
        )
    return given


def notify(*states: str) -> None:
    """Tell the service manager, if there is one that listens: `READY=1`, `STOPPING=1` and the like."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, suppress(OSError):
            sock.sendto("\n".join(states).encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)


def reloading() -> tuple[str, str]:
    """The states that begin a reload; `READY=1` ends it."""
    return "RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}"
