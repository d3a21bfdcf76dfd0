"""Starts the fake engine for a test, talks to its control surface, and makes sure that it ends.

    with fake_engine(flavour="vllm") as engine:
        ...  # requests to engine.address
        assert [record.cancelled for record in engine.ended()] == [True]

The engine is a child that ends with this process, however this one ends.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from parvis.testing.fake_engine.flavours import Flavour
from parvis.testing.fake_engine.record import Record

START_S_MAX = 30.0
STOP_S_MAX = 10.0
CALL_S_MAX = 30.0


class FakeEngineProcess:
    """A running fake engine."""

    def __init__(self, arguments: list[str], port: int = 0) -> None:
        self._arguments = arguments
        self._child: subprocess.Popen[bytes]
        self.address: str
        self.port = port
        self._start()

    @property
    def pid(self) -> int:
        return self._child.pid

    def log(self) -> list[Record]:
        """Every POST so far in the order of arrival, running ones included."""
        return msgspec.json.decode(self._call("GET", "/fake/log"), type=list[Record])

    def ended(self, *, count: int = 0, within_s: float = 10.0) -> list[Record]:
        """The log as soon as no request runs and it has `count` records. Raises TimeoutError."""
        deadline_s = time.monotonic() + within_s
        while True:
            records = self.log()
            if len(records) >= count and not any(record.running for record in records):
                return records
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"After {within_s} s the log has {len(records)} records or one still runs.")
            time.sleep(0.005)

    def reset(self) -> None:
        """Forget the log and the faults."""
        self._call("POST", "/fake/reset")

    def faults(self, **faults: Any) -> None:
        """Order these fields of `commands.Faults` for all requests that follow; `faults()` heals."""
        self._call("POST", "/fake/faults", json.dumps(faults).encode())

    def kill(self) -> None:
        """SIGKILL, and wait for the end. The log is lost with the process."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the process: it keeps its connections and says nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """A new process with an empty log at the same address; the old one is killed if it still runs."""
        self.kill()
        self._start()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if that does not end it."""
        try:
            self._end(signal.SIGTERM)
        except subprocess.TimeoutExpired:
            self.kill()

    def _start(self) -> None:
        command = [sys.executable, "-m", "parvis.testing.fake_engine", "--die-with-stdin"]
        self._child = subprocess.Popen(  # noqa: S603 - our own program, without a shell
            [*command, "--port", str(self.port), *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        try:
            said = json.loads(_first_line(self._child, START_S_MAX))
        except BaseException:
            self.kill()
            raise
        self.address = said["address"]
        self._control = urlsplit(said["control"]).port
        self.port = int(self.address.rpartition(":")[2])

    def _end(self, signal_number: signal.Signals) -> None:
        self._child.send_signal(signal_number)
        self._child.send_signal(signal.SIGCONT)  # a frozen process hears no SIGTERM
        self._child.wait(STOP_S_MAX)
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe:
                pipe.close()

    def _call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        connection = HTTPConnection("127.0.0.1", self._control, timeout=CALL_S_MAX)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status != HTTPStatus.OK:
            raise ValueError(f"{method} {path}: {answer.decode()}")
        return answer


def _first_line(child: subprocess.Popen[bytes], within_s: float) -> bytes:
    """What the child prints first. Raises ChildProcessError when it ends or is silent instead."""
    assert child.stdout
    deadline_s = time.monotonic() + within_s
    line = b""
    while not line.endswith(b"\n"):
        left_s = deadline_s - time.monotonic()
        if left_s <= 0 or not select.select([child.stdout], [], [], left_s)[0]:
            raise ChildProcessError(f"The fake engine did not say its address within {within_s} s.")
        read = os.read(child.stdout.fileno(), 4096)
        if not read:
            raise ChildProcessError("The fake engine ended before it listened.")
        line += read
    return line


class EngineTls(NamedTuple):
    """How a fake engine speaks TLS. The files are PEM."""

    certificate: Path
    key: Path
    client_ca: Path | None = None
    version_max: Literal["1.2", "1.3"] = "1.3"


@contextmanager
def fake_engine(  # noqa: PLR0913 - one for each option of the process
    *,
    port: int = 0,
    model: str | tuple[str, ...] = "fake-8b",
    flavour: Flavour = "vllm",
    reasoning_field: str = "reasoning_content",
    slots: int = 0,
    api_key: str = "",
    idle_close_ms: int = 0,
    prefix_blocks: int = 0,
    prefix_block_chars: int = 64,
    prefill_us_per_char: float = 0,
    tls: EngineTls | None = None,
) -> Iterator[FakeEngineProcess]:
    """A fake engine for the length of a `with` block. The options are those of `server.Options`."""
    names = (model,) if isinstance(model, str) else model
    arguments = [part for name in names for part in ("--model", name)]
    arguments += ["--flavour", flavour, "--reasoning-field", reasoning_field, "--slots", str(slots)]
    arguments += ["--api-key", api_key, "--idle-close-ms", str(idle_close_ms)]
    arguments += ["--prefix-blocks", str(prefix_blocks), "--prefix-block-chars", str(prefix_block_chars)]
    arguments += ["--prefill-us-per-char", str(prefill_us_per_char)]
    if tls is not None:
        arguments += ["--tls-cert", str(tls.certificate), "--tls-key", str(tls.key), "--tls-max", tls.version_max]
        arguments += ["--tls-client-ca", str(tls.client_ca or "")]
    engine = FakeEngineProcess(arguments, port)
    try:
        yield engine
    finally:
        engine.stop()
