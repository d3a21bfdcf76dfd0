"""The engine server of a replica: a child process on loopback, which dies with the replica, however that ends."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import httpx

from parvis.core.errors import Unavailable
from parvis.domain.fleet.replica import EngineKind

START_S_MAX = 1800.0
"""Large weights come from slow disks."""
ASK_S_MAX = 5.0
END_S_MAX = 10.0
MODULES = {
    EngineKind.LLAMA_CPP: "parvis.adapters.engines.llama_child",
    EngineKind.VLLM: "parvis.adapters.engines.vllm_child",
}
"""What speaks as `llama_child` does: it reads a line that tells what to serve, and says where it listens."""
_BUSY = (
    "llamacpp:requests_processing",
    "llamacpp:requests_deferred",
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
)
"""Gauges of requests that run or wait. Each kind has two of them."""


class EngineServer:
    """One run of it. Made on the thread of the replica's loop: a child dies with the thread that started it."""

    def __init__(self, kind: EngineKind, spec: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - a module of ours, without a shell
            [sys.executable, "-m", MODULES[kind]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(environ),
            start_new_session=True,
        )
        self._spec = spec
        self._client = httpx.AsyncClient(
            headers={"authorization": f"Bearer {spec['api_key']}"}, timeout=ASK_S_MAX, trust_env=False
        )
        self.port = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    async def ready(self) -> None:
        """Return when it answers. Raises Unavailable with its own sentence, or when it says nothing."""
        try:
            async with asyncio.timeout(START_S_MAX):
                line = await asyncio.to_thread(self._hear, json.dumps(dict(self._spec)).encode() + b"\n")
        except TimeoutError:
            raise Unavailable("The engine server did not start in time.") from None
        word = json.loads(line or b'{"error": "The engine server ended before it was ready; its log says why."}')
        if "error" in word:
            raise Unavailable(word["error"])
        self.port = int(word["address"].rpartition(":")[2])

    async def healthy(self) -> bool:
        """Whether it lives and says that it is well."""
        try:
            return self.lives and (await self._client.get(self._url("/health"))).is_success
        except httpx.HTTPError:
            return False

    async def busy(self) -> int:
        """Requests that run or wait in it. Raises Unavailable when it does not tell."""
        try:
            page = (await self._client.get(self._url("/metrics"))).raise_for_status().text
        except httpx.HTTPError:
            raise Unavailable("The engine server does not tell of its load.") from None
        return busy_of(page)

    def end(self) -> None:
        """Politely, then not."""
        self._process.terminate()
        try:
            self._process.wait(END_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _hear(self, line: bytes) -> bytes:
        """Say what to serve; what it says in return, which is nothing when it ends."""
        if self._process.stdin is None or self._process.stdout is None:
            return b""
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except BrokenPipeError:
            return b""
        return self._process.stdout.readline()

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


def busy_of(page: str) -> int:
    """The requests that run or wait, of a page of metrics."""
    samples = (line.rpartition(" ") for line in page.splitlines() if line.startswith(_BUSY))
    return int(sum(float(value) for _, _, value in samples))
