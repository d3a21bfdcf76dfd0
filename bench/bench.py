"""The runner: interleaves targets inside each phase and writes one JSON line a measurement.

The gateway has core 0 to itself; mock, generator, control processes and this runner share core 1. While one
target is measured the others are frozen, so that what they still do disturbs nobody.

usage: bench.py OUT.jsonl [--targets nginx,parvis] [--phases sat,sse500] [--rounds 2]
"""

import argparse
import contextlib
import dataclasses
import functools
import json
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from phases import PHASES, WAKE_UP, WARM_UP, Phase, body
from places import CHAT_PATH, GATEWAY_CORE, LOAD, LOAD_CORE, MOCK, MOCK_PORTS
from processes import Memory, cpu_s, idle_core_s, memory, on_core, send, wait_quiet
from targets import NAMES, Running, answers, target

STANDARD_PHASES = ("sat", "sse100", "sse500")
MEMORY_SAMPLE_AT = 0.75  # of a phase: all connections are open, none has ended
Row = dict[str, Any]


def run_load(running: Running, phase: Phase, folder: Path) -> tuple[Row, Memory]:
    """Put one load on a target; returns the generator's figures and the gateway's memory under it."""
    text = folder / f"{phase.marker[1:]}.json"
    text.write_bytes(body(phase.marker))
    shape = [str(number) for number in (phase.connections, phase.seconds, phase.rate_per_s)]
    command = [
        str(LOAD),
        str(running.target.port),
        CHAT_PATH,
        str(text),
        *shape,
        f"Authorization: Bearer {running.key}",
    ]
    generator = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        time.sleep(phase.seconds * MEMORY_SAMPLE_AT)
        loaded = memory(running.pids().gateway)
        printed, _ = generator.communicate(timeout=phase.seconds + 30)
    finally:
        generator.kill()
        generator.wait()
    return json.loads(printed), loaded


@dataclasses.dataclass(frozen=True)
class Clocks:
    """Seconds of processor time, idle time of the two cores, and wall time; so far, or of a measurement."""

    gateway: float
    control: float
    bench: float  # the mock and this runner
    gateway_core_idle: float
    load_core_idle: float
    wall: float

    @classmethod
    def read(cls, running: Running, mock: int) -> "Clocks":
        """All clocks now."""
        pids = running.pids()
        return cls(
            gateway=cpu_s(pids.gateway),
            control=cpu_s(pids.control),
            bench=cpu_s([mock]) + time.process_time(),
            gateway_core_idle=idle_core_s(GATEWAY_CORE),
            load_core_idle=idle_core_s(LOAD_CORE),
            wall=time.monotonic(),
        )

    def since(self, before: "Clocks") -> "Clocks":
        """The differences."""
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(before), strict=True)
        return Clocks(*(now - then for now, then in pairs))


def measure(running: Running, phase: Phase, mock: int, folder: Path) -> Row:
    """One measurement. `gateway_core`, `load_core` and `strangers` are shares of one core."""
    before = Clocks.read(running, mock)
    row, loaded = run_load(running, phase, folder)
    used = Clocks.read(running, mock).since(before)
    load_core = used.bench + used.control + row["load_cpu_s"]
    strangers = used.wall - used.load_core_idle - load_core
    if running.target.command:
        strangers = max(strangers, used.wall - used.gateway_core_idle - used.gateway)
    return row | {
        "cpu_us_per_request": per(used.gateway, row["requests"]),
        "cpu_us_per_event": per(used.gateway, row["events"]),
        "control_us_per_request": per(used.control, row["requests"]),
        "gateway_core": round(used.gateway / used.wall, 3),
        "load_core": round(load_core / used.wall, 3),
        "strangers": round(max(0.0, strangers) / used.wall, 3),
        "pss_mib": round(loaded.pss_mib, 1),
        "rss_mib": round(loaded.rss_mib, 1),
    }


def per(seconds: float, count: int) -> float | None:
    """Microseconds for each of `count`; None when there are none."""
    return round(seconds * 1e6 / count, 3) if count else None


@contextlib.contextmanager
def only(awake: Running, everyone: Sequence[Running]) -> Iterator[bool]:
    """Freeze all targets but one, and wait for it to end what it had left; yields whether it did."""
    for other in everyone:
        send(other.everything, signal.SIGCONT if other is awake else signal.SIGSTOP)
    yield wait_quiet(awake.everything)


@contextlib.contextmanager
def mock_engine() -> Iterator[int]:
    """The mock on its two ports; yields its process id."""
    engine = subprocess.Popen([MOCK, *map(str, MOCK_PORTS)])
    try:
        time.sleep(0.2)
        if engine.poll() is not None:
            raise SystemExit("bench: the mock engine did not start; are its ports taken?")
        yield engine.pid
    finally:
        engine.kill()
        engine.wait()


@contextlib.contextmanager
def started(names: Sequence[str], folder: Path) -> Iterator[list[Running]]:
    """Those of the named targets that became ready; the others are named on the way."""
    runs: list[Running] = []
    ready: list[Running] = []
    try:
        for name in names:
            running = Running(target(name, folder), folder)
            runs.append(running)
            if running.wait_ready(functools.partial(answers, running.target.port)):
                ready.append(running)
                print(f"bench: {name} is ready", flush=True)
            else:
                print(f"bench: {name} did not start, left out\n{running.output(1500)}", flush=True)
        yield ready
    finally:
        for running in reversed(runs):
            running.stop()


def rounds(ready: Sequence[Running], phases: Sequence[Phase], count: int, mock: int, folder: Path) -> Iterator[Row]:
    """All measurements in running order: round, phase, target."""
    time.sleep(2)
    idle = {running.target.name: memory(running.pids().gateway) for running in ready}
    for number in range(count):
        for phase in phases:
            for running in ready:
                name, first = running.target.name, number == 0 and phase is phases[0]
                with only(running, ready) as quiet:
                    run_load(running, WARM_UP if first else WAKE_UP, folder)
                    row = measure(running, phase, mock, folder)
                memories = {
                    "pss_idle_mib": round(idle[name].pss_mib, 1),
                    "rss_idle_mib": round(idle[name].rss_mib, 1),
                }
                yield {
                    "target": name,
                    "phase": phase.name,
                    "round": number,
                    "quiet": quiet,
                    **row,
                    **memories,
                }


def show(row: Row) -> None:
    """One line for the eye."""
    print(
        f"{row['round']} {row['phase']:7} {row['target']:8}"
        f" {row['requests_per_s']:9.1f}/s {row['cpu_us_per_request'] or 0:9.1f} us/request"
        f" {row['cpu_us_per_event'] or 0:7.2f} us/event {row['events_per_s']:7.0f} events/s"
        f" p50 {row['latency_us_p50'] / 1e3:8.2f} p99 {row['latency_us_p99'] / 1e3:8.2f} ms"
        f" cores {row['gateway_core']:.2f} {row['load_core']:.2f} strangers {row['strangers']:.2f}"
        f" wrong {row['bad_status'] + row['broken'] + row['cut']} left {row['unfinished']}"
        f" {row['pss_mib']:.0f} MiB",
        flush=True,
    )


def run(out: Path, names: Sequence[str], phases: Sequence[str], count: int) -> list[str]:
    """Measure and append to `out`; returns the names of the targets that were measured."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(prefix="parvis-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        stack.enter_context(on_core(LOAD_CORE))
        mock = stack.enter_context(mock_engine())
        ready = stack.enter_context(started(names, folder))
        lines = stack.enter_context(out.open("a"))
        for row in rounds(ready, [PHASES[phase] for phase in phases], count, mock, folder):
            lines.write(json.dumps({"kind": "gateway", **row}) + "\n")
            lines.flush()
            show(row)
        return [running.target.name for running in ready]


def words(text: str) -> list[str]:
    """A comma-separated option."""
    return text.split(",")


def main() -> None:
    """Run from the command line."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is ended
    parser = argparse.ArgumentParser(description="Measure gateways side by side.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--targets", type=words, default=NAMES)
    parser.add_argument("--phases", type=words, default=STANDARD_PHASES)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    run(options.out, options.targets, options.phases, options.rounds)


if __name__ == "__main__":
    main()
