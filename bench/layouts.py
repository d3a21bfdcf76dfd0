"""Ways to serve the bundled chat model on this machine, each as a whole service: `parvis up` on a home of its own."""

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

import engine
from peers import say
from places import Stage
from processes import command_line, cpu_s, memory, stop, tree, wait_quiet
from service import CONTROL_MODULE, ENGINE_MODEL, GATEWAY_MODULE, ParvisHome, parvis_home

ENGINE_MODULES = "parvis.adapters."
ROLES = ("gateway", "control", "supervisor", "engine")
READY_S_MAX = 180.0
REST_S_MAX = 5.0
POLL_S = 0.05
CHAT_LINE = re.compile(r"^chat: (.+)$", re.MULTILINE)
"""What `parvis up` says of the chat model's engine."""
EMBEDDING_MODEL = "all-minilm-l6-v2"
_CHAT = f"""
[engines.chat]
model = "{ENGINE_MODEL}"
weights = "builtin:{ENGINE_MODEL}"
context_tokens = 2048
"""
_EMBEDDING = f"""
[engines.minilm]
model = "{EMBEDDING_MODEL}"
weights = "builtin:{EMBEDDING_MODEL}"
embedding = true
context_tokens = 512
"""


@dataclass(frozen=True)
class Layout:
    """One engine and how it lies on the cores.

    `settings` are those of `[engines.chat]`, in TOML; `words` are the first that `parvis up` says of it.

    `burst_max` and `rounds_max` bound what is asked of a slow one: a crowd of 128 would keep it busy for minutes.
    """

    name: str
    about: str
    words: str
    settings: str
    burst_max: int = 1_000
    rounds_max: int = 1_000


def openvino(replicas: int, threads: int, parallel: int) -> str:
    """Its settings; so many answers side by side in each replica."""
    return f'kind = "openvino"\nreplicas = {replicas}\nthreads = {threads}\nparallel = {parallel}\n'


def llama(*, requantise: bool) -> str:
    """Its settings: one replica of one thread, as it was measured to be best beside other processes."""
    return f'kind = "llama.cpp"\nreplicas = 1\nthreads = 1\nparallel = 8\nrequantise = {str(requantise).lower()}\n'


CHOSEN = "as chosen"
LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout(
            "openvino 1x2",
            "OpenVINO, one replica of two threads",
            "OpenVINO, 1 replica of 2 threads ",
            openvino(1, 2, 128),
        ),
        Layout(
            "openvino 2x1",
            "OpenVINO, two replicas of one thread, each on its core",
            "OpenVINO, 2 replicas of 1 thread ",
            openvino(2, 1, 64),
        ),
        Layout(
            "llama.cpp Q8_0",
            "llama.cpp, one thread, weights made Q8_0",
            "llama.cpp, 1 replica of 1 thread, weights as Q8_0",
            llama(requantise=True),
            16,
            1,
        ),
        Layout(
            "llama.cpp Q4_1",
            "llama.cpp, one thread, weights as they come",
            "llama.cpp, 1 replica of 1 thread ",
            llama(requantise=False),
            16,
            1,
        ),
        Layout(CHOSEN, "what `parvis up` chooses on this machine: started only", "-", "", rounds_max=0),
    )
}
DEFAULT = tuple(LAYOUTS)


class NotUp(Exception):
    """A service did not begin to answer; the message has its last words."""


class Kitchen:
    """A home with one layout, started as often as one likes; the first start makes what later ones find."""

    def __init__(self, layout: Layout, stage: Stage) -> None:
        self.layout = layout
        name = layout.name.replace(" ", "-")
        self._folder = stage.own_folder(name)
        self._home: ParvisHome = parvis_home(stage, name, "parvis-engine.toml")
        with (self._folder / "parvis.toml").open("a") as settings:
            settings.write(_CHAT + layout.settings + _EMBEDDING)
        self._log = self._folder / "log"
        self._key = ""

    @contextlib.contextmanager
    def up(self) -> Iterator["Running"]:
        """Start it, until the block ends. Raises NotUp."""
        began_s = time.monotonic()
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                self._home.command,
                cwd=self._folder,
                env=os.environ | self._home.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            service = self._first_answer(process, began_s + READY_S_MAX)
            seconds = time.monotonic() - began_s
            told = CHAT_LINE.search(self._said())
            yield Running(self.layout, service, process.pid, seconds, told[1] if told else "")
        finally:
            stop(process.pid)
            process.wait()

    def _first_answer(self, process: "subprocess.Popen[bytes]", deadline_s: float) -> engine.Service:
        while time.monotonic() < deadline_s and process.poll() is None:
            self._key = self._key or self._home.api_key(self._said()) or ""
            service = engine.Service(f"http://127.0.0.1:{self._home.port}/v1", self._key, ENGINE_MODEL)
            if self._key and engine.answers(service):
                return service
            time.sleep(POLL_S)
        raise NotUp(f"{self.layout.name} did not start\n{self._said()[-1500:]}")

    def _said(self) -> str:
        return self._log.read_text(errors="replace")


@dataclass(frozen=True)
class Running:
    """A service that answers. `started_s`: from its command to the end of its first answer; `told`: how it serves."""

    layout: Layout
    service: engine.Service
    supervisor: int
    started_s: float
    told: str = ""

    def pids(self) -> dict[str, list[int]]:
        """Its processes, by what they do."""
        found: dict[str, list[int]] = {role: [] for role in ROLES}
        for pid in tree(self.supervisor):
            found[_role(command_line(pid), is_root=pid == self.supervisor)].append(pid)
        return found

    def memory_mib(self) -> dict[str, list[float]]:
        """Rss of each process, by what it does, in the order of their ids."""
        return {
            role: [round(memory([pid]).rss_mib, 1) for pid in sorted(pids)]
            for role, pids in self.pids().items()
            if pids
        }

    def cpu_s(self) -> dict[str, float]:
        """Processor seconds so far, by role; those of this process are the generator's."""
        used = {role: cpu_s(pids) for role, pids in self.pids().items()}
        return {**used, "generator": time.process_time()}

    def rest(self) -> None:
        """Wait until its engines have dropped what nobody waits for any more."""
        wait_quiet(self.pids()["engine"], REST_S_MAX)


def _role(command: str, *, is_root: bool) -> str:
    if is_root:
        return "supervisor"
    if GATEWAY_MODULE in command:
        return "gateway"
    if CONTROL_MODULE in command:
        return "control"
    return "engine" if ENGINE_MODULES in command else "supervisor"


def kitchens(names: tuple[str, ...], stage: Stage) -> list[Kitchen]:
    """Homes of these layouts, each started once, so that weights are converted and its key is known."""
    ready = []
    for name in names:
        kitchen = Kitchen(LAYOUTS[name], stage)
        try:
            with kitchen.up() as running:
                say(f"{name}: the very first start took {running.started_s:.1f} s")
        except NotUp as problem:
            say(f"LEFT OUT: {problem}")
            continue
        ready.append(kitchen)
    return ready
