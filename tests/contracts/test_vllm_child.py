"""vLLM's child, with a stand-in for vLLM: what it is told, when it is ready, and that nothing of it stays."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from parvis.adapters.engines.vllm_child import Spec, command
from parvis.testing.service import wait_until

SPEC: dict[str, Any] = {
    "weights": "/models/big",
    "alias": "big",
    "kind": "chat",
    "api_key": "secret",
    "parallel": 32,
    "gpus": 2,
}
# It demands the key, and tells how it was called and where it runs.
STAND_IN = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        facts = {"argv": sys.argv, "pid": os.getpid(), "offline": os.environ["HF_HUB_OFFLINE"]}
        good = self.path == "/health" or self.headers["authorization"] == "Bearer " + os.environ["VLLM_API_KEY"]
        self.send_response(200 if good else 401)
        self.end_headers()
        self.wfile.write(json.dumps(facts).encode())

    def log_message(self, *_):
        pass

if "/models/broken" in sys.argv:
    sys.exit(3)
HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Answers).serve_forever()
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with something that calls itself vLLM."""
    package = tmp_path / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    for folder in (package, *list(package.parents)[:2]):
        (folder / "__init__.py").touch()
    (package / "api_server.py").write_text(STAND_IN)
    return tmp_path


@contextmanager
def child(where: Path, **spec: Any) -> Iterator[tuple["subprocess.Popen[bytes]", dict[str, str]]]:
    running = subprocess.Popen(
        [sys.executable, "-m", "parvis.adapters.engines.vllm_child"],
        env={**os.environ, "PYTHONPATH": str(where)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert running.stdin is not None
    assert running.stdout is not None
    try:
        running.stdin.write(json.dumps({**SPEC, **spec}).encode() + b"\n")
        running.stdin.flush()
        yield running, json.loads(running.stdout.readline())
    finally:
        running.kill()
        running.wait()
        running.stdin.close()
        running.stdout.close()


def asked(address: str, key: str) -> tuple[int, dict[str, Any]]:
    connection = HTTPConnection(address.removeprefix("http://"), timeout=10)
    connection.request("GET", "/v1/models", headers={"authorization": f"Bearer {key}"})
    answer = connection.getresponse()
    facts: dict[str, Any] = json.loads(answer.read())
    connection.close()
    return answer.status, facts


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_it_serves_with_the_key_and_ends_with_its_parent(installed: Path, how: str) -> None:
    with child(installed) as (running, said):
        status, facts = asked(said["address"], "secret")
        assert (status, facts["offline"]) == (200, "1")
        assert "secret" not in facts["argv"]
        assert asked(said["address"], "another")[0] == 401
        if how == "closed":
            assert running.stdin is not None
            running.stdin.close()
        else:
            running.kill()
        wait_until(lambda: gone(facts["pid"]), "vLLM has ended")


def test_what_does_not_start_says_why(installed: Path, tmp_path: Path) -> None:
    with child(installed, weights="/models/broken") as (running, said):
        assert "status 3" in said["error"]
        running.wait(10)
    with child(tmp_path / "empty") as (_, said):
        assert "pip install vllm" in said["error"]


def test_vllm_is_told_what_the_deployment_says() -> None:
    words = " ".join(command(Spec(**SPEC, context=4096), 8123))
    for told in ("--port 8123", "--model /models/big", "--tensor-parallel-size 2", "--max-num-seqs 32"):
        assert told in words
    assert "--max-model-len 4096 " in words
    assert "--runner pooling" not in words
    assert "--runner pooling" in " ".join(command(Spec(**{**SPEC, "kind": "embedding"}), 1))
