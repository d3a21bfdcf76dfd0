"""Puts a load on a target with the generator (native/load.c), which prints what it saw."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from phases import Phase, body
from places import CHAT_PATH, LOAD
from processes import Memory, memory
from running import Running

MEMORY_SAMPLE_AT = 0.75  # of a phase: all connections are open, none has ended
DRAIN_S = 4.0  # as in native/load.c
Row = dict[str, Any]


class Load:
    """A generator at work. `stop` must be called."""

    def __init__(self, running: Running, phase: Phase, folder: Path) -> None:
        text = folder / f"{phase.marker[1:]}.{phase.body_bytes}.json"
        if not text.exists():
            text.write_bytes(body(phase.marker, phase.body_bytes))
        target = (str(running.target.port), CHAT_PATH, str(text))
        shape = (phase.connections, phase.seconds, phase.rate_per_s, int(running.target.tls))
        command = [str(LOAD), *target, *map(str, shape), f"Authorization: Bearer {running.key}"]
        self._phase = phase
        self._generator = subprocess.Popen(command, stdout=subprocess.PIPE)

    @property
    def ended(self) -> bool:
        """Whether it has finished."""
        return self._generator.poll() is not None

    def result(self) -> Row:
        """What it saw, once it has finished."""
        printed, _ = self._generator.communicate(timeout=self._phase.seconds + DRAIN_S + 30)
        row: Row = json.loads(printed)
        return row

    def stop(self) -> None:
        """End it."""
        self._generator.kill()
        self._generator.wait()


def run_load(running: Running, phase: Phase, folder: Path) -> tuple[Row, Memory]:
    """Put one load on a target; returns the generator's figures and the gateway's memory under it."""
    load = Load(running, phase, folder)
    try:
        time.sleep(phase.seconds * MEMORY_SAMPLE_AT)
        loaded = memory(running.pids().gateway)
        return load.result(), loaded
    finally:
        load.stop()
