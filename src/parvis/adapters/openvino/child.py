"""The process: one replica, ready when its first request would be fast.

    python -m parvis.adapters.openvino.child

It is begun, spoken to and ended as llama.cpp's child is: its parent writes one JSON line, the `Spec`, to its standard
input and keeps that pipe open; standard output carries one JSON line in return, `{"address": "http://127.0.0.1:PORT"}`
or `{"error": "one sentence"}` before exit status 1. It lives exactly as long as its parent. SIGTERM ends it at once,
whatever runs; the parent drains first.

When steps fail again and again it ends by itself, for the parent to start another. Once it is ready, what libraries
print is dropped: they print grammars, which are the callers' content.
"""

import asyncio
import ctypes
import json
import logging
import os
import signal
import threading
from importlib.util import find_spec
from typing import Any

from parvis.adapters.openvino.errors import NotReady
from parvis.adapters.openvino.spec import Spec, read_spec

PR_SET_PDEATHSIG = 1  # prctl(2)
SPEC_BYTES_MAX = 65_536
STDIN, STDOUT, STDERR = 0, 1, 2


def tie_to_parent() -> None:
    """Die with the parent: by signal when it dies, and when it closes the pipe that is our standard input."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_exit_at_end_of_input, daemon=True).start()


def _exit_at_end_of_input() -> None:
    while os.read(STDIN, 4096):
        pass
    os._exit(0)


def keep_to(cores: tuple[int, ...]) -> None:
    """Run on these alone, as far as this machine lets us; none: wherever the kernel likes."""
    if ours := set(cores) & os.sched_getaffinity(0):
        os.sched_setaffinity(0, ours)


def run(spec: Spec, report: Any) -> None:
    """Serve for ever, or until the batch is beyond help. Raises NotReady."""
    if find_spec("openvino_genai") is None:
        raise NotReady("OpenVINO is not installed. Run `pip install 'parvis[openvino]'`.")
    from parvis.adapters.openvino.worker import serve  # noqa: PLC0415 - its library is an extra

    def ready(address: str) -> None:
        _silence()
        _say(report, {"address": address})

    asyncio.run(serve(spec, ready))


def main() -> int:
    """Run until the parent ends it; exit status 1 when the engine cannot start or go on."""
    # The library may print: only our one line may reach the parent, and our own log lines its log.
    report = os.fdopen(os.dup(STDOUT), "w", encoding="utf-8")
    logging.basicConfig(stream=os.fdopen(os.dup(STDERR), "w", encoding="utf-8"), format="%(name)s: %(message)s")
    os.dup2(STDERR, STDOUT)
    try:
        with open(STDIN, "rb", buffering=0, closefd=False) as pipe:
            spec = read_spec(pipe.readline(SPEC_BYTES_MAX))
        tie_to_parent()
        keep_to(tuple(spec.cores))
        run(spec, report)
    except NotReady as error:
        _say(report, {"error": str(error)})
    return 1


def _silence() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, STDOUT)
    os.dup2(null, STDERR)
    os.close(null)


def _say(report: Any, fact: dict[str, str]) -> None:
    report.write(json.dumps(fact) + "\n")
    report.flush()


if __name__ == "__main__":
    # At once: threads of the library may never end by themselves.
    status = main()
    logging.shutdown()
    os._exit(status)
