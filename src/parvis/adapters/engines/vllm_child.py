"""vLLM's OpenAI server as a child on loopback, spoken to as `llama_child` is.

    python -m parvis.adapters.engines.vllm_child

The first line of standard input is the `Spec`; the one line of standard output says where it listens, or why not. vLLM
is no dependency of Parvis: it is installed where the GPUs are. It calls nobody: usage statistics are off, and weights
come from the disk. Its key passes through the environment, which only its own user can read; a command line everybody
can.

It lives exactly as long as its parent, and so do vLLM's own workers: they share a process group that is ended as one.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from parvis.core.engine_process import PR_SET_PDEATHSIG, STDIN, NotReady, Report, first_line, spec_of
from parvis.domain.fleet.gpu_server import GpuServer, options
from parvis.domain.fleet.replica import EngineKind

SERVER = "vllm.entrypoints.openai.api_server"
READY_S_MAX = 1800.0
END_S_MAX = 8.0
POLL_S = 0.2
QUIET = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


@dataclass(frozen=True)
class Spec:
    """What to serve. `context` is in tokens for one request; `parallel` requests run side by side."""

    weights: str
    """The folder of a model on this machine."""
    alias: str
    kind: str
    api_key: str
    parallel: int = 8
    context: int = 8192
    threads: int = 1
    gpus: int = 1


def command(spec: Spec, port: int) -> list[str]:
    """vLLM's options for `spec`."""
    wanted = GpuServer(
        kind=EngineKind.VLLM,
        model=spec.alias,
        weights=spec.weights,
        context_tokens=spec.context,
        gpus=spec.gpus,
        parallel=spec.parallel,
        embedding=spec.kind == "embedding",
    )
    where = ["--host", "127.0.0.1", "--port", str(port)]
    return [sys.executable, "-m", SERVER, *where, "--model", spec.weights, *options(wanted)]


def die_with_parent() -> None:
    """In the child, before it becomes another program: the kernel kills it when we die."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port() -> int:
    """One of loopback on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(server: "subprocess.Popen[bytes]", port: int) -> None:
    """Poll /health, which is refused while the weights load. Raises NotReady."""
    ask = build_opener(ProxyHandler({}))
    deadline_s = time.monotonic() + READY_S_MAX
    while time.monotonic() < deadline_s:
        if server.poll() is not None:
            raise NotReady(f"vLLM ended with status {server.returncode} while it loaded; its log lines say why.")
        try:
            with ask.open(f"http://127.0.0.1:{port}/health", timeout=POLL_S * 10):
                return
        except (URLError, OSError):
            time.sleep(POLL_S)
    raise NotReady(f"vLLM was not ready within {READY_S_MAX:.0f} s.")


def serve(spec: Spec, report: Report) -> int:
    """Until vLLM ends, or our parent closes its pipe; gives the exit status."""
    if find_spec("vllm") is None:
        raise NotReady("vLLM is not installed on this node. Type: pip install vllm")
    port = free_port()
    environ = {**os.environ, **QUIET, "VLLM_API_KEY": spec.api_key}
    server = subprocess.Popen(  # noqa: S603 - vLLM's own server, without a shell
        command(spec, port),
        env=environ,
        stdin=subprocess.DEVNULL,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - no threads yet
    )
    try:
        wait_until_ready(server, port)
        report.ready(f"http://127.0.0.1:{port}")
        return _until_one_ends(server)
    finally:
        _end(server)


def _end(server: "subprocess.Popen[bytes]") -> None:
    """Politely, its workers too; then not."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it goes to us as well
    os.killpg(0, signal.SIGTERM)
    try:
        server.wait(END_S_MAX)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _until_one_ends(server: "subprocess.Popen[bytes]") -> int:
    os.set_blocking(STDIN, False)
    while server.poll() is None:
        try:
            if not os.read(STDIN, 4096):
                return 0
        except BlockingIOError:
            pass
        time.sleep(POLL_S)
    return 1


def main() -> int:
    """Run until the parent ends it; exit status 1 when the server cannot start, or ends."""
    report = Report()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        return serve(spec_of(Spec, first_line()), report)
    except NotReady as error:
        report.failed(error)
    return 1


if __name__ == "__main__":
    sys.exit(main())
