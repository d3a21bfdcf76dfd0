"""What is measured: the mock alone, three proxies and the product, each behind one loopback port."""

import contextlib
import http.client
import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from peers import nginx
from phases import body
from places import CHAT_PATH, GATEWAY_CORE, LOAD_CORE, MOCK_PORTS, PEERS, SCRATCH
from processes import on_core, pin, stop, tree
from service import GATEWAY_PORT, Pids, parvis_home

PEER_KEY = "sk-bench-1"
NAMES = ("direct", "nginx", "envoy", "litellm", "parvis")


@dataclass(frozen=True)
class Target:
    """A command that listens on `port`. No command: the mock itself.

    `api_key` reads the key from the command's output, `pids` finds its processes from the command's own.
    It starts bound to `core` (None: to none). One with processes beside its gateway starts on the load's
    core, and only its gateway moves to the other.
    """

    name: str
    port: int
    command: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    api_key: Callable[[str], str | None] = lambda _: PEER_KEY
    pids: Callable[[int], Pids] = lambda pid: Pids(tree(pid), [])
    core: int | None = GATEWAY_CORE


def target(name: str, folder: Path) -> Target:
    """The target of that name; its files go to `folder`."""
    match name:
        case "direct":
            return Target(name, MOCK_PORTS[0])
        case "nginx":
            return Target(name, 8101, (nginx() or "nginx", "-c", configured("nginx.conf", folder)))
        case "envoy":
            return envoy(folder)
        case "litellm":
            return litellm(folder)
        case "parvis":
            return Target(name, GATEWAY_PORT, *parvis_home(folder), core=LOAD_CORE)
    raise SystemExit(f"bench: no target {name}; there are {', '.join(NAMES)}")


def configured(name: str, folder: Path) -> str:
    """Write the configuration `name` for a run in `folder`; returns its path."""
    path = folder / name
    path.write_text((PEERS / name).read_text().replace("RUN", str(folder)))
    return str(path)


def envoy(folder: Path) -> Target:
    """Envoy with one worker thread."""
    program = str(SCRATCH / "envoy" / "bin" / "envoy")
    options = ("--concurrency", "1", "-l", "error")
    return Target("envoy", 8102, (program, "-c", configured("envoy.yaml", folder), *options))


def litellm(folder: Path) -> Target:
    """LiteLLM's proxy with one worker, its production mode, and no look-up of prices on the network."""
    program = str(SCRATCH / "litellm" / "bin" / "litellm")
    options = ("--host", "127.0.0.1", "--port", "8103", "--num_workers", "1", "--telemetry", "False")
    environment = {
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    return Target("litellm", 8103, (program, "--config", configured("litellm.yaml", folder), *options), environment)


class Running:
    """A started target. `stop` must be called, also when it never became ready."""

    def __init__(self, wanted: Target, folder: Path) -> None:
        self.target = wanted
        self.key = PEER_KEY
        self._log = folder / f"{wanted.name}.log"
        self._root = 0
        if wanted.command:
            bound = contextlib.nullcontext() if wanted.core is None else on_core(wanted.core)
            with self._log.open("wb") as log, bound:
                self._process = subprocess.Popen(
                    wanted.command,
                    cwd=folder,
                    env=os.environ | wanted.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            self._root = self._process.pid

    @property
    def everything(self) -> list[int]:
        """All processes of the target."""
        return tree(self._root) if self._root else []

    def pids(self) -> Pids:
        """The processes to be measured, bound to their cores. Ends the run when there is none any more."""
        if not self._root:
            return Pids([], [])
        pids = self.target.pids(self._root)
        if self._process.poll() is not None or not pids.gateway:
            raise SystemExit(f"bench: {self.target.name} ended by itself\n{self.output(1500)}")
        if self.target.core == LOAD_CORE:
            pin(pids.gateway, GATEWAY_CORE)
        return pids

    def wait_ready(self, right: Callable[[str], bool], patience_s: float = 120.0) -> bool:
        """Wait for the key, and until an answer to it is `right`; False when that never came."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if self._root and self._process.poll() is not None:
                return False
            key = self.target.api_key(self.output())
            if key and right(key):
                self.key = key
                return True
            time.sleep(0.3)
        return False

    def output(self, last: int = 20_000) -> str:
        """The last characters that the target printed."""
        return self._log.read_text(errors="replace")[-last:] if self._root else ""

    def stop(self) -> None:
        """End all its processes."""
        if self._root:
            stop(self._root)
            self._process.wait()


def answers(port: int, key: str) -> bool:
    """Whether a chat request gets the mock's whole answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    try:
        connection.request("POST", CHAT_PATH, body("@m0"), headers)
        response = connection.getresponse()
        answer = json.load(response)
    except (OSError, ValueError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return response.status == HTTPStatus.OK and answer["usage"]["completion_tokens"] == 300
