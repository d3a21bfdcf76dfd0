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
import logging
import os
from importlib.util import find_spec

from parvis.adapters.openvino.spec import Spec, read_spec
from parvis.core.engine_process import STDERR, NotReady, Report, first_line, silence, tie_to_parent


def keep_to(cores: tuple[int, ...]) -> None:
    """Run on these alone, as far as this machine lets us; none: wherever the kernel likes."""
    if ours := set(cores) & os.sched_getaffinity(0):
        os.sched_setaffinity(0, ours)


def run(spec: Spec, report: Report) -> None:
    """Serve for ever, or until the batch is beyond help. Raises NotReady."""
    if find_spec("openvino_genai") is None:
        raise NotReady("OpenVINO is not installed. Run `pip install 'parvis[openvino]'`.")
    from parvis.adapters.openvino.worker import serve  # noqa: PLC0415 - its library is an extra

    def ready(address: str) -> None:
        silence()
        report.ready(address)

    asyncio.run(serve(spec, ready))


def main() -> int:
    """Run until the parent ends it; exit status 1 when the engine cannot start or go on."""
    report = Report()
    logging.basicConfig(stream=os.fdopen(os.dup(STDERR), "w", encoding="utf-8"), format="%(name)s: %(message)s")
    try:
        spec = read_spec(first_line())
        tie_to_parent()
        keep_to(tuple(spec.cores))
        run(spec, report)
    except NotReady as error:
        report.failed(error)
    return 1


if __name__ == "__main__":
    # At once: threads of the library may never end by themselves.
    status = main()
    logging.shutdown()
    os._exit(status)
