"""Starts the whole service for a test, as its user would: real processes, free ports, a data folder that may be reused.

    with fake_engine() as engine, service(folder, engines={"fake": served_by(engine)}) as running:
        ...  # requests to running.base_url with running.api_key
        assert running.check() == []

What is started here ends here: with the block, or with this process, however it ends.
"""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import cache_from_source
from pathlib import Path
from random import SystemRandom
from shutil import copytree, ignore_patterns
from typing import Any, Literal

import httpx

from parvis.testing.fake_engine.flavours import Flavour
from parvis.testing.processes import FakeEngineProcess, fake_engine

START_S_MAX = 60.0
STOP_S_MAX = 60.0
GONE_S_MAX = 5.0
CALL_S_MAX = 120.0
POLL_S = 0.01
PAGE = 1000
PORTS = range(18_000, 32_000)
"""Below those that the kernel gives to outgoing connections."""

KINDS: dict[str, Flavour] = {"vllm": "vllm", "llama.cpp": "llamacpp", "openai": "plain"}
"""How the fake engine must speak to be taken for an engine of each kind."""

Json = dict[str, Any]
AS_THEY_ARE: Json = {"kind": "llama.cpp", "requantise": False}
BUILT_IN: Mapping[str, Json] = {
    "smollm2": {"model": "smollm2-135m-instruct", "weights": "builtin:smollm2-135m-instruct"},
    "minilm": {
        "model": "all-minilm-l6-v2",
        "weights": "builtin:all-minilm-l6-v2",
        "embedding": True,
        "context_tokens": 512,
    },
}
"""As the settings have them where nobody says anything."""
Part = Literal["gateway", "control", "engine", "openvino"]
_MODULES: dict[Part, str] = {
    "gateway": "parvis.app.gateway",
    "control": "parvis.app.control",
    "engine": "parvis.adapters.engines.llama_child",
    "openvino": "parvis.adapters.openvino.child",
}
# The supervisor is nobody's child in real life; here it must not outlive the test.
_UP = """
import gc, sys
gc.disable()  # what is imported stays: to look for garbage in it takes a fifth of the import
from parvis.app.child import die_with_parent
die_with_parent()
from parvis.cli.main import main
import parvis.app.supervisor
gc.enable()
main(["up", *sys.argv[1:]], prog_name="parvis")
"""
_COMMAND = "from parvis.cli.main import main; main(prog_name='parvis')"


class NotStartedError(Exception):
    """The service ended before it was ready."""

    def __init__(self, exit_code: int, said: str, left_over: list[int]) -> None:
        super().__init__(f"exit code {exit_code}: {said}")
        self.exit_code = exit_code
        self.said = said
        """What it wrote to standard error."""
        self.left_over = left_over
        """Its processes that still run."""


class Service:
    """A running service. Its output lies in the data folder, in `up.out` and `up.err`."""

    def __init__(self, home: Path, environ: Mapping[str, str], api_key: str = "") -> None:
        self.home = home
        self.environ = environ
        self.api_key = api_key
        """Shown at the first start of a data folder only; later ones are told it."""
        self.base_url = f"http://{environ['PARVIS_INFERENCE__LISTEN']}/v1"
        self._child: subprocess.Popen[bytes]
        self._known: set[int] = set()
        self._before: list[subprocess.Popen[bytes]] = []
        self._wrote: dict[int, Path] = {}
        self._start()

    @property
    def port(self) -> int:
        """Of the inference listener."""
        return int(self.environ["PARVIS_INFERENCE__LISTEN"].rpartition(":")[2])

    # Processes

    @property
    def pid(self) -> int:
        """The supervisor's."""
        return self._child.pid

    def pids(self, part: Part) -> list[int]:
        """The running processes of one kind, in no order."""
        return [pid for pid in self._children() if _MODULES[part] in _command(pid)]

    def kill(self, part: Part, pick: Callable[[list[int]], int] = min) -> int:
        """SIGKILL to one process of this kind, as soon as there is one; gives its pid."""
        wait_until(lambda: bool(self.pids(part)), f"there is a {part}")
        pid = pick(sorted(self.pids(part)))
        os.kill(pid, signal.SIGKILL)
        return pid

    def kill_gateway(self) -> int:
        return self.kill("gateway")

    def kill_supervisor(self) -> None:
        """SIGKILL to the supervisor; what becomes of the others is its own business (`left_over`)."""
        self._children()
        self._child.kill()
        self._child.wait(STOP_S_MAX)

    def signal(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def take_over(self, *, source: Path | None = None, env: Mapping[str, str] | None = None) -> None:
        """Start another supervisor that takes over from this one, of other sources or settings if given.

        On return the new one is `pid`, and the old one may still drain (`handed_over`). Raises NotStartedError when
        it does not succeed; the old one is `pid` then.
        """
        self._children()
        environ = {**self.environ, **(env or {})}
        if source is not None:
            environ["PYTHONPATH"] = str(source)
        old, self._child = self._child, self._spawn(environ, "--take-over")
        try:
            wait_until(self._is_ready, "another supervisor has taken over", START_S_MAX)
        except BaseException:
            self._child.kill()
            self._child.wait()
            self._child = old
            raise
        self._before.append(old)

    def handed_over(self, within_s: float = STOP_S_MAX) -> list[int]:
        """The exit codes of those that were taken over from, once they have ended. Raises TimeoutExpired."""
        return [old.wait(within_s) for old in self._before]

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run `parvis ...` on this data folder."""
        command = [sys.executable, "-c", _COMMAND, *words]
        return subprocess.run(  # noqa: S603 - our own program, without a shell
            command, env=self.environ, capture_output=True, text=True, timeout=CALL_S_MAX, check=False
        )

    def wait(self, within_s: float = STOP_S_MAX) -> int:
        """Its exit code. Raises TimeoutExpired."""
        return self._child.wait(within_s)

    def left_over(self) -> list[int]:
        """Processes that this service started and that still run."""
        return [pid for pid in self._known if _runs(pid)]

    def stop(self) -> int:
        """SIGTERM; the exit code, once no process is left. Raises AssertionError when one stays."""
        self._children()
        self.operator.close()
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(STOP_S_MAX)
            finally:
                self._child.kill()
        for old in self._before:
            old.terminate()  # a second signal: it is draining already
            old.wait(STOP_S_MAX)
        wait_until(lambda: not self.left_over(), "every process has ended", GONE_S_MAX)
        return self._child.returncode

    # What the operator reads

    def get(self, path: str, **query: str | int) -> Json:
        """One answer of the operator API."""
        response = self.operator.get(path, params=query)
        response.raise_for_status()
        answer: Json = response.json()
        return answer

    def usage_rows(self, *, of: Collection[str] = (), within_s: float = 20.0) -> list[Json]:
        """All requests, once the ledger has caught up: nothing is open, and each request id in `of` is there.

        What has not come when the time is over is missing from the answer; the caller judges.
        """
        deadline_s = time.monotonic() + within_s
        wanted = set(of)
        while True:
            late = time.monotonic() > deadline_s
            if late or self._caught_up(len(wanted)):
                rows = list(self._every("/v1/requests"))
                if late or wanted <= {row["id"] for row in rows}:
                    return rows
            time.sleep(0.05)

    def check(self) -> list[str]:
        """The differences that the ledger finds when it adds everything up again."""
        differences: list[str] = self.get("/v1/check")["differences"]
        return differences

    def allow(self, model: str, *capabilities: str) -> None:
        """Make the catalogue say what a model can do; return when the gateway knows."""
        entry = {"id": model, "capabilities": capabilities}
        self.operator.post("/v1/models/apply", json={"models": [entry]}).raise_for_status()
        key = {"authorization": f"Bearer {self.api_key}"}

        def known() -> bool:
            shown = httpx.get(f"{self.base_url}/models/{model}", headers=key, trust_env=False).json()
            return set(shown["capabilities"]) == set(capabilities)

        wait_until(known, f"the gateway knows what {model} can do")

    def said(self) -> str:
        """What it has written to standard output."""
        return self._wrote[self.pid].with_suffix(".out").read_text()

    def complained(self) -> str:
        """What it has written to standard error."""
        return self._wrote[self.pid].with_suffix(".err").read_text()

    # Inside

    def _start(self) -> None:
        self._child = self._spawn(self.environ)
        certificate = self.environ.get("PARVIS_OPERATOR__TLS_CERT")
        trusted = ssl.create_default_context(cafile=certificate) if certificate else True
        self.operator = httpx.Client(timeout=CALL_S_MAX, trust_env=False, verify=trusted)
        try:
            wait_until(self._is_ready, "the service is ready", START_S_MAX)
        except BaseException:
            self._child.kill()
            self._child.wait()
            self.operator.close()
            raise
        self.api_key = self.api_key or self._shown_key()
        token = (self.home / "operator.token").read_text().strip()
        scheme = "https" if certificate else "http"
        self.operator.base_url = f"{scheme}://{self.environ['PARVIS_OPERATOR__LISTEN']}"
        self.operator.headers["authorization"] = f"Bearer {token}"

    def _spawn(self, environ: Mapping[str, str], *options: str) -> "subprocess.Popen[bytes]":
        """A supervisor; it writes to `up.out` and `up.err`, a later one to `up2.out` and so on."""
        wrote = self.home / f"up{len(self._wrote) + 1 if self._wrote else ''}"
        with wrote.with_suffix(".out").open("wb") as out, wrote.with_suffix(".err").open("wb") as err:
            child = subprocess.Popen(  # noqa: S603 - our own program, without a shell
                [sys.executable, "-c", _UP, *options], env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )
        self._known.add(child.pid)
        self._wrote[child.pid] = wrote
        return child

    def _is_ready(self) -> bool:
        self._children()
        if (exit_code := self._child.poll()) is not None:
            raise NotStartedError(exit_code, self.complained(), self.left_over())
        return "\nReady: " in "\n" + self.said()

    def _shown_key(self) -> str:
        return next(line.removeprefix("API key: ") for line in self.said().splitlines() if line.startswith("API key: "))

    def _children(self) -> list[int]:
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        found = [int(pid) for pid in path.read_text().split()] if path.exists() else []
        self._known.update(found)
        return [pid for pid in found if _runs(pid)]

    def _caught_up(self, requests: int) -> bool:
        """Whether nothing is open and at least so many requests are booked. Cheap, however many there are."""
        booked: int = self.get("/v1/usage")["total"]["requests"]
        return booked >= requests and self.get("/v1/status")["open_requests"] == 0

    def _every(self, path: str) -> Iterator[Json]:
        page: Json = {"next": ""}
        while page["next"] is not None:
            page = self.get(path, limit=PAGE, **({"after": page["next"]} if page["next"] else {}))
            yield from page["data"]


@contextmanager
def service(
    home: Path,
    *,
    engines: Mapping[str, Json] | None = None,
    source: Path | None = None,
    env: Mapping[str, str] | None = None,
    api_key: str = "",
) -> Iterator[Service]:
    """The service on this data folder, ready. Raises NotStartedError.

    `engines` are the sections of `parvis.toml`, by default the models that Parvis brings along; `source` is a tree
    of sources (`planted`) to run instead of the installed ones; `api_key` is that of an earlier start. Weights are
    served by llama.cpp as they are, unless it is said otherwise: that is the same on every machine, and starts soonest.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if engines is not None or not (home / "parvis.toml").exists():
        sections = (_section(name, engine) for name, engine in (BUILT_IN if engines is None else engines).items())
        (home / "parvis.toml").write_text("".join(sections))
    environ = {**os.environ, "PARVIS_HOME": str(home), **_listeners(), **(env or {})}
    if source is not None:
        environ["PYTHONPATH"] = str(source)
    running = Service(home, environ, api_key)
    try:
        yield running
    finally:
        running.stop()


def served_by(engine: FakeEngineProcess, kind: str = "vllm", model: str = "fake-8b", **more: Any) -> Json:
    """The settings of an engine by address."""
    return {"kind": kind, "model": model, "addresses": [engine.address], **more}


@contextmanager
def before_each_kind(
    home: Path,
    source: Path | None = None,
    env: Mapping[str, str] | None = None,
    sounds: FakeEngineProcess | None = None,
    **more: FakeEngineProcess,
) -> Iterator[tuple[Service, dict[str, FakeEngineProcess]]]:
    """The service before a fake engine of each kind, by its name in the settings; the models are `fake-KIND`.

    `more` are engines for embeddings, by the name of their model; `sounds` hears and speaks as `fake-sound`.
    """
    with ExitStack() as stack:
        engines = {
            kind: stack.enter_context(fake_engine(flavour=flavour, model=f"fake-{kind}"))
            for kind, flavour in KINDS.items()
        }
        served = {
            kind.replace(".", ""): served_by(engine, kind, f"fake-{kind}", context_tokens=8192)
            for kind, engine in engines.items()
        }
        served |= {name: served_by(engine, "openai", name, embedding=True) for name, engine in more.items()}
        if sounds is not None:
            more |= {"fake-sound": sounds}
            served["sounds"] = served_by(sounds, "speech", "fake-sound")
        yield stack.enter_context(service(home, engines=served, source=source, env=env)), engines | more


@contextmanager
def planted(source_root: Path, edits: Mapping[str, tuple[str, str]]) -> Iterator[Path]:
    """A copy of the sources with a bug in it: `{relative file: (old, new)}`. Its path goes to `service(source=...)`.

    What Python has compiled comes along, or each process of the service would compile all of it again. Raises
    AssertionError when `old` does not stand exactly once in its file: the bug would not be planted.
    """
    with tempfile.TemporaryDirectory(prefix="parvis-planted-") as folder:
        copy = Path(folder) / "src"
        copytree(source_root, copy, ignore=ignore_patterns("*.pyc.*"))  # those are being written, and will be renamed
        for name, (old, new) in edits.items():
            text = (copy / name).read_text()
            assert text.count(old) == 1, f"{name}: what is to be edited stands there {text.count(old)} times: {old}"
            (copy / name).write_text(text.replace(old, new))
            Path(cache_from_source(str(copy / name))).unlink(missing_ok=True)
        yield copy


def wait_until(true: Callable[[], bool], what: str, within_s: float = 20.0) -> float:
    """Wait; give the seconds that it took. Raises AssertionError with `what` should have become true."""
    started_s = time.monotonic()
    while not true():
        assert time.monotonic() - started_s < within_s, f"not within {within_s} s: {what}"
        time.sleep(POLL_S)
    return time.monotonic() - started_s


def free_port() -> int:
    """A port on which nothing listens now."""
    while True:
        port = SystemRandom().choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def _listeners() -> dict[str, str]:
    return {f"PARVIS_{name}__LISTEN": f"127.0.0.1:{free_port()}" for name in ("INFERENCE", "CONSOLE", "OPERATOR")}


def _section(name: str, values: Json) -> str:
    """TOML writes numbers, texts, lists and truth as JSON does."""
    values = AS_THEY_ARE | values if "weights" in values else values
    lines = (f"{key} = {json.dumps(value)}\n" for key, value in values.items())
    return f"[engines.{name}]\n{''.join(lines)}\n"


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _runs(pid: int) -> bool:
    """Whether it lives: a zombie, which only waits to be asked for its exit code, does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"
