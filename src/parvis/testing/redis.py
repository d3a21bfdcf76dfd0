"""A real Redis or Valkey for tests: our child, on a Unix socket in a folder of its own, gone afterwards.

Debian's packages `valkey-server` and `redis-server` both do; installed when we are root, else one line to type is told.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from parvis.core.errors import Misconfigured, Unavailable

START_S_MAX = 20
STOP_S_MAX = 10
INSTALL_S_MAX = 300
PROGRAMS = ("valkey-server", "redis-server")
PACKAGE = "redis-server"
_SETTINGS = {"port": "0", "save": "", "appendonly": "no", "daemonize": "no", "unixsocketperm": "700"}
_NO_SERVICES = Path("/usr/sbin/policy-rc.d")


@contextmanager
def redis_server() -> Iterator[str]:
    """Yield the URL of a running, empty server. It stops when this block ends, and when our process dies.

    Raises Misconfigured without the program, Unavailable when it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="parvis-redis-") as name:
        path = Path(name) / "redis.sock"
        settings = _SETTINGS | {"dir": name, "unixsocket": str(path)}
        arguments = [word for setting, value in settings.items() for word in (f"--{setting}", value)]
        with (Path(name) / "log").open("wb") as log:
            server = subprocess.Popen(  # noqa: S603 - a fixed command on our own files
                ["setpriv", "--pdeathsig", "KILL", "--", program(), *arguments],  # noqa: S607 - the system's
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            _wait(server, path, Path(name) / "log")
            yield f"unix://{path}"
        finally:
            server.kill()
            server.wait(STOP_S_MAX)


def program() -> str:
    """Where the server's program is; installed first, if need be and we may. Raises Misconfigured."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is not None:
        return found
    line = f"apt-get install --no-install-recommends {PACKAGE}"
    apt = shutil.which("apt-get")
    if os.geteuid() != 0 or apt is None:
        raise Misconfigured(f"Redis for tests is missing; type as root: {line}")
    _install(apt)
    return program()


def _install(apt: str) -> None:
    """Without starting the distribution's own service (policy-rc.d, status 101)."""
    ours = not _NO_SERVICES.exists()
    if ours:
        _NO_SERVICES.write_text("#!/bin/sh\nexit 101\n")
        _NO_SERVICES.chmod(0o755)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        for words in (["update", "-qq"], ["install", "--no-install-recommends", "--yes", "-qq", PACKAGE]):
            subprocess.run(  # noqa: S603 - a fixed command
                [apt, *words], check=True, env=environment, stdout=subprocess.DEVNULL, timeout=INSTALL_S_MAX
            )
    except subprocess.CalledProcessError as problem:
        raise Misconfigured(f"Redis for tests could not be installed: {problem}") from None
    finally:
        if ours:
            _NO_SERVICES.unlink()


def _wait(server: "subprocess.Popen[bytes]", path: Path, log: Path) -> None:
    """Until it answers."""
    ends = time.monotonic() + START_S_MAX
    while time.monotonic() < ends and server.poll() is None:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                return
        time.sleep(0.02)
    raise Unavailable(f"Redis did not start: {log.read_text()}")
