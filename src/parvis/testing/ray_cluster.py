"""A Ray cluster of one machine for a test: on loopback, with a token of its own, small, and gone when the test is.

    with ray_cluster(folder) as cluster, service(home, env=cluster.environ) as running:
        ...  # deployments of the source `ray` run on it

Ray's daemons would outlive who started them, however it ended. So a keeper starts them, in its own session, and ends
every process of that session as soon as the test closes its pipe or is gone: `python -m parvis.testing.ray_cluster`.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from parvis.testing.service import free_port, wait_until

HOST = "127.0.0.2"
"""Ray takes 127.0.0.1 for a mistake and puts an address that others reach in its place."""
OBJECT_STORE_BYTES = 100_000_000
START_S_MAX = 60.0
STOP_S_MAX = 1.0
GONE_S_MAX = 15.0
MISSING = "Ray is not installed. Type: pip install 'ray[serve]==2.60.*'"


class RayCluster:
    """A running one. `environ` has what a service must know of it."""

    def __init__(self, keeper: "subprocess.Popen[bytes]", environ: dict[str, str]) -> None:
        self._keeper = keeper
        self.environ = environ

    def engines(self) -> dict[int, int]:
        """The engine servers of its replicas, each with the replica's own process, its parent."""
        return {
            child: pid
            for pid in _session(self._keeper.pid)
            for child in _children(pid)
            if "llama_child" in _command(child)
        }


@contextmanager
def ray_cluster(folder: Path, cpus: int = 2) -> Iterator[RayCluster]:
    """Raises AssertionError when it does not start, or when a process of it stays."""
    assert find_spec("ray") is not None, MISSING
    # Its sockets lie there, and their paths must be short.
    temporary = Path(tempfile.mkdtemp(prefix="ray-"))
    port = free_port()
    told = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TMPDIR": str(temporary),
    }
    log = folder / "ray.log"
    command = [sys.executable, "-m", "parvis.testing.ray_cluster", str(port), str(cpus), str(temporary)]
    with log.open("wb") as said:
        keeper = subprocess.Popen(  # noqa: S603 - our own program, without a shell
            command,
            env={**os.environ, **told},
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(lambda: _started(keeper, log), "a Ray cluster has started", START_S_MAX)
        yield RayCluster(keeper, {**told, "PARVIS_RAY__ADDRESS": f"{HOST}:{port}"})
    finally:
        if keeper.stdin is not None:
            keeper.stdin.close()
        keeper.wait(GONE_S_MAX)
        wait_until(lambda: not _session(keeper.pid), "every process of Ray has ended", GONE_S_MAX)
        shutil.rmtree(temporary, ignore_errors=True)


def _started(keeper: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert keeper.poll() is None, log.read_text()
    return "Ray runtime started" in log.read_text()


def _session(leader: int) -> list[int]:
    """The running processes of its session, itself among them."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            with suppress(OSError):
                fields = (path / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == leader and fields[0] not in "ZX":
                    found.append(int(path.name))
    return found


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        threads = Path(f"/proc/{pid}/task").iterdir()
        return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    return []


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def _keep(port: str, cpus: str, temporary: str) -> None:
    """Start Ray, wait until nobody wants it any more, and end all of it."""
    options = [f"--node-ip-address={HOST}", f"--port={port}", f"--num-cpus={cpus}", f"--temp-dir={temporary}"]
    options += ["--num-gpus=0", f"--object-store-memory={OBJECT_STORE_BYTES}", "--include-dashboard=false"]
    options += ["--min-worker-port=0", "--max-worker-port=0"]  # of the system's choice, not 10002 and up
    options += [f"--dashboard-agent-listen-port={free_port()}", f"--ray-client-server-port={free_port()}"]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--disable-usage-stats", *options]
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, check=True)  # noqa: S603 - Ray's own command, without a shell
        while os.read(sys.stdin.fileno(), 4096):
            pass
    finally:
        _end_all(signal.SIGTERM, STOP_S_MAX)
        _end_all(signal.SIGKILL, GONE_S_MAX)


def _end_all(number: signal.Signals, within_s: float) -> None:
    """This signal to all of our session but ourselves, and wait."""
    deadline_s = time.monotonic() + within_s
    for pid in _session(os.getpid()):
        if pid != os.getpid():
            with suppress(ProcessLookupError):
                os.kill(pid, number)
    while len(_session(os.getpid())) > 1 and time.monotonic() < deadline_s:
        time.sleep(0.05)


if __name__ == "__main__":
    _keep(*sys.argv[1:])
