"""Starts what stands before and behind the compared policies: sglang-router, and real llama.cpp servers."""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from places import SCRATCH, free_port
from targets import PEER_KEY

from parvis.adapters.engines.weights import locate

LLAMAS = 3
READY_S_MAX = 90.0
_STRAIGHT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextlib.contextmanager
def sglang_router(addresses: Sequence[str], api_key: str) -> Iterator[str]:
    """sglang-router with its cache-aware policy, all else as it comes; its address."""
    port = free_port()
    command = [str(SCRATCH / "sglang-router" / "bin" / "python"), "-m", "sglang_router.launch_router"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--prometheus-port", str(free_port())]
    command += ["--policy", "cache_aware", "--log-level", "error", "--worker-startup-check-interval", "1"]
    command += ["--worker-urls", *addresses]
    command += ["--api-key", api_key] if api_key else []
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        try:
            url = f"http://127.0.0.1:{port}"
            if not _ready(f"{url}/readiness", child):
                log.seek(0)
                raise SystemExit(f"bench: sglang-router did not start\n{log.read()[-1500:].decode(errors='replace')}")
            yield url
        finally:
            child.terminate()
            child.wait(20)


def llama_servers(stack: ExitStack) -> list[str]:
    """Three replicas of the embedded engine, each of one thread, with nothing read."""
    return [stack.enter_context(_llama()) for _ in range(LLAMAS)]


@contextlib.contextmanager
def _llama() -> Iterator[str]:
    weights = locate("builtin:smollm2-135m-instruct", Path(tempfile.gettempdir()) / "parvis-bench-weights")
    spec = {
        "weights": str(weights),
        "alias": "chat",
        "kind": "chat",
        "api_key": PEER_KEY,
        "parallel": 4,
        "context": 1024,
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "parvis.adapters.engines.llama_child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    if child.stdin is None or child.stdout is None:
        raise SystemExit("bench: no pipe to the engine")
    try:
        child.stdin.write(json.dumps(spec).encode() + b"\n")
        child.stdin.flush()
        yield str(json.loads(child.stdout.readline())["address"])
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()


def _ready(url: str, child: "subprocess.Popen[bytes]") -> bool:
    deadline_s = time.monotonic() + READY_S_MAX
    while time.monotonic() < deadline_s and child.poll() is None:
        with contextlib.suppress(urllib.error.URLError, OSError), _STRAIGHT.open(url, timeout=5):
            return True
        time.sleep(0.2)
    return False
