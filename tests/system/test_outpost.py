"""A machine that has gateways and nothing else, beside the one where control is: two network namespaces, one cable.

This file is also the program that runs inside the first of them: `python test_outpost.py HOME`.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from parvis.app.child import die_with_parent
from parvis.testing.island import island
from parvis.testing.processes import fake_engine
from parvis.testing.service import Service, served_by, service, wait_until

INSIDE_S_MAX = 100
HERE, THERE = "10.77.0.1", "10.77.0.2"
LINK, PORT = f"{HERE}:8003", 8000
REQUESTS = 12
TOKENS = 5
PARVIS = [sys.executable, "-c", "from parvis.cli.main import main; main(prog_name='parvis')"]
Json = dict[str, Any]


def test_a_machine_joins_serves_dies_and_loses_nothing(tmp_path: Path) -> None:
    command = [*island(), sys.executable, __file__, str(tmp_path)]
    inside = subprocess.run(command, capture_output=True, text=True, timeout=INSIDE_S_MAX, check=False)
    assert inside.returncode == 0, inside.stdout + inside.stderr


# --------------------------------------------------------------------------------------------------- inside


class Machine:
    """The other one: its network namespace lives as long as a process in it."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(["unshare", "--net", "sleep", str(INSIDE_S_MAX)])
        self.enter = ["nsenter", "--net", "--target", str(self._holder.pid)]
        own = Path("/proc/self/ns/net").readlink()
        wait_until(lambda: Path(f"/proc/{self._holder.pid}/ns/net").readlink() != own, "there is another network")
        ip("link", "add", "here", "type", "veth", "peer", "name", "there")
        ip("link", "set", "there", "netns", str(self._holder.pid))
        for inside, name, address in (([], "here", HERE), (self.enter, "there", THERE)):
            ip("link", "set", "lo", "up", inside=inside)
            ip("address", "add", f"{address}/24", "dev", name, inside=inside)
            ip("link", "set", name, "up", inside=inside)

    def end(self) -> None:
        self._holder.kill()
        self._holder.wait()


def ip(*words: str, inside: Sequence[str] = ()) -> None:
    subprocess.run([*inside, "ip", *words], check=True, timeout=10)


@contextmanager
def outpost(machine: Machine, home: Path, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`parvis gateway` over there, ready. It is killed in the end, if it still runs."""
    home.mkdir(mode=0o700, exist_ok=True)
    environ = {
        **os.environ,
        "PARVIS_HOME": str(home),
        "PARVIS_INFERENCE__LISTEN": f"{THERE}:{PORT}",
        "PARVIS_INFERENCE__PLAIN_BEYOND_LOOPBACK": "true",
    }
    with (home / "out").open("wb") as out:
        child = subprocess.Popen(
            [*machine.enter, *PARVIS, "gateway", "--control", LINK, *words], env=environ, stdout=out, stderr=out
        )
    said: Callable[[], str] = (home / "out").read_text
    try:
        wait_until(lambda: "Ready: " in said() or child.poll() is not None, "it is ready", 40)
        assert child.poll() is None, said()
        yield child
    finally:
        child.kill()
        child.wait()


@contextmanager
def engine_there(machine: Machine, port: int) -> Iterator[None]:
    """An engine at the same address of its own loopback: what control knows of replicas holds there too."""
    command = [*machine.enter, sys.executable, "-m", "parvis.testing.fake_engine", "--die-with-stdin"]
    child = subprocess.Popen(
        [*command, "--port", str(port), "--model", "fake-8b"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline()
    try:
        yield
    finally:
        child.kill()
        child.communicate()


def ask(key: str, *, stream: bool) -> str:
    """One request over the cable; its id."""
    body = {"model": "fake-8b", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": TOKENS}
    answer = httpx.post(
        f"http://{THERE}:{PORT}/v1/chat/completions",
        json={**body, "stream": stream},
        headers={"authorization": f"Bearer {key}"},
        timeout=30,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    assert not stream or answer.text.endswith("data: [DONE]\n\n")
    return answer.headers["x-request-id"]


def ask_some(key: str) -> set[str]:
    return {ask(key, stream=bool(number % 2)) for number in range(REQUESTS)}


def said_by(running: Service, *words: str) -> Any:
    done = running.command(*words, "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def couriers(of: int) -> list[int]:
    """The couriers among the children of an outpost."""
    found = map(int, Path(f"/proc/{of}/task/{of}/children").read_text().split())
    return [pid for pid in found if b"parvis.app.courier" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def all_booked(running: Service, asked: set[str]) -> None:
    rows = running.usage_rows(of=asked)
    assert asked <= {row["id"] for row in rows}
    assert running.check() == []


def story(running: Service, machine: Machine, home: Path) -> None:
    refused = subprocess.run(
        [*machine.enter, *PARVIS, "--home", str(home), "gateway", "--control", LINK, "--join", f"join-{'a' * 52}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert refused.returncode == 1
    assert "is not the service that made this code" in refused.stderr

    code = said_by(running, "node", "code")["code"]
    asked: set[str] = set()
    with outpost(machine, home, "--join", code) as child:
        (node,) = said_by(running, "node", "list")
        asked |= ask_some(running.api_key)
        all_booked(running, asked)
        for pid in couriers(child.pid):  # its gateways lose control, serve on, and find it again
            os.kill(pid, signal.SIGKILL)
        asked |= ask_some(running.api_key)
        wait_until(lambda: len(running.get("/v1/status")["gateways"]) == 2, "its gateway is known again")
        all_booked(running, asked)
        asked |= ask_some(running.api_key)  # at once after it: all of it dies, what it wrote is there
    with outpost(machine, home) as child:
        all_booked(running, asked)
        wait_until(lambda: len(running.get("/v1/status")["open_runs"]) == 2, "the dead run is booked to its end")
        asked |= ask_some(running.api_key)
        child.terminate()
        assert child.wait(40) == 0
        all_booked(running, asked)
        assert not list((home / "journal").iterdir())
    with outpost(machine, home):
        wait_until(lambda: len(running.get("/v1/status")["gateways"]) == 2, "it is there")
        said_by(running, "node", "remove", node["id"], "--yes")
        wait_until(lambda: len(running.get("/v1/status")["gateways"]) == 1, "it is believed no more")
    again = subprocess.run(
        [*machine.enter, *PARVIS, "--home", str(home / "other"), "gateway", "--control", LINK, "--join", code],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert again.returncode == 1
    assert "was used" in again.stderr


def inside(folder: Path) -> None:
    machine = Machine()
    try:
        with fake_engine() as engine, engine_there(machine, engine.port):
            env = {"PARVIS_LINK__LISTEN": LINK}
            with service(folder / "home", engines={"fake": served_by(engine)}, env=env) as running:
                story(running, machine, folder / "there")
    finally:
        machine.end()


if __name__ == "__main__":
    die_with_parent()
    inside(Path(sys.argv[1]))
