"""The process: one model that hears or speaks, ready when its first request would be fast.

    python -m parvis.adapters.speech.child

It is begun, spoken to and ended as the embedded engine is: the first line of standard input is the `Spec`, the one
line of standard output says where it listens, or why not; it lives as long as its parent. Once it is ready, what the
libraries print is dropped: it may be the callers' content.
"""

import asyncio
import logging
import os
import socket
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import uvicorn

from parvis.adapters.speech.door import Door, Room
from parvis.adapters.speech.line import Line
from parvis.core.engine_process import NotReady, Report, first_line, silence, spec_of, tie_to_parent

PACKAGES = ("av", "babel", "faster_whisper", "gruut", "onnxruntime")
COUNTERS = 2
"""Who may measure at once; a sound is decoded much faster than it is understood."""
KEEP_ALIVE_S = 600
"""The gateway's own connections shall not be closed under it."""


@dataclass(frozen=True)
class Spec:
    """What to serve. `parallel` requests run side by side, with `threads` each; `waiting` more stand in line."""

    weights: str
    alias: str
    kind: str
    """`transcription` or `speech`: what the weights are for."""
    api_key: str
    parallel: int = 1
    threads: int = 1
    waiting: int = 8
    seconds_max: int = 3 * 60 * 60
    """Of one sound."""
    bytes_max: int = 25 << 20
    """Of one request that brings a sound."""
    port: int = 0


def read_spec(line: bytes) -> Spec:
    """Decode the one line of standard input. Raises NotReady."""
    spec = spec_of(Spec, line)
    if spec.kind not in ("transcription", "speech"):
        raise NotReady(f"The engine's kind is '{spec.kind}', which is neither 'transcription' nor 'speech'.")
    return spec


def furnish(spec: Spec) -> Room:
    """Load the model. Raises NotReady."""
    # Whatever a library would like to fetch, it finds itself offline.
    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TRANSFORMERS_OFFLINE="1")
    if any(find_spec(package) is None for package in PACKAGES):
        raise NotReady("The engine for speech needs packages of its own: run `pip install 'parvis[speech]'`.")
    line = Line(spec.parallel, spec.waiting)
    ms_max = spec.seconds_max * 1000
    if spec.kind == "speech":
        from parvis.adapters.speech.speaking import Speaking  # noqa: PLC0415 - its libraries are an extra
        from parvis.adapters.speech.voice import Voice  # noqa: PLC0415 - the same

        return Speaking(Voice(Path(spec.weights), threads=spec.threads), line, ms_max=ms_max)
    from parvis.adapters.speech.ear import Ear  # noqa: PLC0415 - its libraries are an extra
    from parvis.adapters.speech.hearing import Hearing  # noqa: PLC0415 - the same

    ear = Ear(Path(spec.weights), threads=spec.threads, workers=spec.parallel)
    return Hearing(ear, line, Line(COUNTERS, spec.waiting), ms_max=ms_max, bytes_max=spec.bytes_max)


def serve(spec: Spec, report: Report) -> None:
    """Run until a signal ends it. Raises NotReady."""
    room = furnish(spec)
    listening = socket.create_server(("127.0.0.1", spec.port))
    options = uvicorn.Config(
        Door(room, model=spec.alias, api_key=spec.api_key),
        log_config=None,
        access_log=False,
        lifespan="off",
        interface="asgi3",
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
    )
    logging.disable()
    silence()
    report.ready(f"http://127.0.0.1:{listening.getsockname()[1]}")
    asyncio.run(uvicorn.Server(options).serve(sockets=[listening]))


def main() -> int:
    """Run until the parent ends it; exit status 1 when the engine cannot start."""
    report = Report()
    try:
        spec = read_spec(first_line())
        tie_to_parent()
        serve(spec, report)
    except NotReady as error:
        report.failed(error)
        return 1
    os._exit(0)  # a step under way would hold the interpreter up


if __name__ == "__main__":
    sys.exit(main())
