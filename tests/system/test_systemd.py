"""The service under a service manager, in systemd's words: sockets that it was given, and what it says of itself."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from parvis.testing.processes import fake_engine
from parvis.testing.service import free_port, served_by, wait_until

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("parvis")
START_S_MAX = 60
# Becomes the service itself, so that its own pid is the one that the sockets are for.
BEGIN = """
import os, sys
descriptors = sys.argv[1].split(",")
for place, descriptor in enumerate(map(int, descriptors)):
    os.dup2(descriptor, 3 + place)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(descriptors)), "LISTEN_FDNAMES": sys.argv[2]}
os.execv(sys.executable, [sys.executable, *sys.argv[3:]])
"""


class Manager:
    """A service manager of one service: holds its sockets, and hears what it says."""

    def __init__(self, home: Path, names: list[str]) -> None:
        self.home = home
        self._stack = ExitStack()
        self.sockets = {name: self._stack.enter_context(socket.create_server(("127.0.0.1", 0))) for name in names}
        self._ear = self._stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self._ear.bind(str(home / "notify"))
        self._ear.settimeout(START_S_MAX)
        others = {name: free_port() for name in ("inference", "console", "operator") if name not in names}
        self.ports = others | {name: sock.getsockname()[1] for name, sock in self.sockets.items()}
        listeners = {f"PARVIS_{name.upper()}__LISTEN": f"127.0.0.1:{port}" for name, port in self.ports.items()}
        self.environ = {**os.environ, **listeners, "PARVIS_HOME": str(home), "NOTIFY_SOCKET": str(home / "notify")}

    def start(self, *, names: str = "") -> "subprocess.Popen[str]":
        """As systemd starts it: the sockets from descriptor 3 on. `names` are others than their own."""
        descriptors = [sock.fileno() for sock in self.sockets.values()]
        told = names or ":".join(self.sockets)
        return self._stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", BEGIN, ",".join(map(str, descriptors)), told, str(PROGRAM), "up"],
                env=self.environ,
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )

    def heard(self) -> dict[str, str]:
        """The next that the service says."""
        return dict(line.split("=", 1) for line in self._ear.recv(4096).decode().splitlines())

    def status(self, port: str) -> int:
        path = {"inference": "/v1/models", "console": "/v1/me", "operator": "/readyz"}[port]
        return httpx.get(f"http://127.0.0.1:{self.ports[port]}{path}", trust_env=False, timeout=30).status_code

    def close(self) -> None:
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((self.home / "run" / "supervisor.pid").read_text()), signal.SIGKILL)
        self._stack.close()


@contextmanager
def managed(home: Path, *names: str) -> Iterator[Manager]:
    home.mkdir(mode=0o700)
    with fake_engine() as engine:
        values = "".join(f"{key} = {json.dumps(value)}\n" for key, value in served_by(engine).items())
        (home / "parvis.toml").write_text(f"[engines.fake]\n{values}")
        manager = Manager(home, list(names))
        try:
            yield manager
        finally:
            manager.close()


def test_it_uses_what_it_was_given_and_says_how_it_fares(tmp_path: Path) -> None:
    with managed(tmp_path / "home", "operator", "inference", "console") as manager:
        early = socket.create_connection(("127.0.0.1", manager.ports["inference"]))  # nobody accepts yet
        early.sendall(b"GET /v1/models HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        child = manager.start()
        assert manager.heard() == {"MAINPID": str(child.pid), "READY": "1"}
        assert early.recv(12) == b"HTTP/1.1 401"
        early.close()
        assert {name: manager.status(name) for name in manager.ports} == {
            "operator": 200,
            "inference": 401,
            "console": 401,
        }
        child.send_signal(signal.SIGHUP)
        assert list(manager.heard()) == ["RELOADING", "MONOTONIC_USEC"]
        assert manager.heard() == {"READY": "1"}
        child.terminate()
        assert manager.heard() == {"STOPPING": "1"}
        assert child.wait(60) == 0
        # Its sockets were lent: the next one finds them, and who called meanwhile.
        late = socket.create_connection(("127.0.0.1", manager.ports["inference"]))
        late.close()


def test_a_successor_of_the_same_unit_takes_over(tmp_path: Path) -> None:
    with managed(tmp_path / "home", "inference") as manager:
        child = manager.start()
        assert manager.heard()["MAINPID"] == str(child.pid)
        for _ in range(2):
            before = int((manager.home / "run" / "supervisor.pid").read_text())
            os.kill(before, signal.SIGUSR2)
            told = manager.heard()
            assert (told["READY"], told["MAINPID"] != str(before)) == ("1", True)
            assert manager.status("inference") == 401
        assert child.wait(60) == 0
        last = int(told["MAINPID"])
        os.kill(last, signal.SIGTERM)
        assert manager.heard() == {"STOPPING": "1"}
        wait_until(lambda: not Path(f"/proc/{last}").exists(), "the last one has ended", 60)


@pytest.mark.parametrize(
    ("names", "why"),
    [("console", "listens on 127.0.0.1:"), ("http", "named http. FileDescriptorName= must be one of inference")],
)
def test_sockets_for_something_else_are_refused(tmp_path: Path, names: str, why: str) -> None:
    with managed(tmp_path / "home", "inference") as manager:
        child = manager.start(names=names)
        said = child.communicate(timeout=60)[1]
        assert child.returncode == 1
        assert why in said
        assert said.count("\n") == 1


def test_the_units_are_sound() -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.fail("systemd-analyze is needed. On Debian, type: apt-get install -y systemd")
    units = sorted((ROOT / "deploy" / "systemd").iterdir())
    checked = subprocess.run([program, "verify", *units], capture_output=True, text=True, timeout=60, check=False)
    # The only thing that may be missing is the program, where it is not installed.
    said = [line for line in checked.stderr.splitlines() if "is not executable" not in line]
    assert said == []
