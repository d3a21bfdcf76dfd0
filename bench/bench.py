"""The runner: interleaves targets inside each phase and gives one row a measurement.

The gateway has core 0 to itself; mock, generator, control processes and this runner share core 1. While one
target is measured the others are frozen, so that what they still do disturbs nobody. With two cores for gateways
nothing is bound, and all share both.
"""

import contextlib
import dataclasses
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from certificate import write_certificate
from ledger import lag, settled
from load import Row, run_load
from peers import say
from phases import PHASES, TWO_CORES, WAKE_UP, WARM_UP, Phase
from places import GATEWAY_CORE, LOAD_CORE, MOCK, Stage, free_port
from processes import Memory, cpu_s, idle_core_s, on_core, send_all_but, wait_quiet
from running import Running
from targets import INTERPRETED, OVER_TLS, target

TLS_PHASES = ("sat", "sse100")
PLAIN_PHASES = ("sat", "sse100", "sse500")
"""Where the sources are measured beside the wheel."""
SLOW = ("litellm",)
SLOW_PHASES = ("sat", "sse100", "sse500")
"""LiteLLM takes a hundred times as long: it is measured once, and where one round tells all."""


@dataclass(frozen=True)
class Plan:
    """What to measure. Without `phases` the usual ones are; `scale` shortens or stretches them."""

    targets: tuple[str, ...]
    phases: tuple[str, ...] = ()
    rounds: int = 3
    cores: int = 1
    scale: float = 1.0

    @property
    def loads(self) -> list[Phase]:
        """The phases, as long as they shall be."""
        usual = tuple(PHASES) if self.cores == 1 else ("sat",)
        return [PHASES[name].lasting(PHASES[name].seconds * self.scale) for name in self.phases or usual]

    @property
    def first(self) -> Phase:
        """What each target is woken with before all else."""
        return WARM_UP.lasting(WARM_UP.seconds * self.scale)

    def steps(self, ready: Sequence[Running]) -> list[tuple[int, Phase, Running]]:
        """All measurements in running order: round, phase, target."""
        every = ((number, phase, running) for number in range(self.rounds) for phase in self.loads for running in ready)
        return [step for step in every if self._takes(*step)]

    def _takes(self, number: int, phase: Phase, running: Running) -> bool:
        """Whether this target takes part. Where phases are asked for by name, all targets take all of them."""
        if self.phases:
            return True
        if running.name in SLOW:
            return number == 0 and phase.name in SLOW_PHASES
        if running.name == INTERPRETED:
            return phase.name in PLAIN_PHASES
        return running.name not in OVER_TLS or phase.name in TLS_PHASES


@dataclass(frozen=True)
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

    def strangers(self, load_s: float, *, measured: bool, cores: int) -> float:
        """The share of a core that others took: of the busier one, or of both together where both are everybody's.

        Without a process that is measured, the first core does not matter.
        """
        others = self.wall - self.load_core_idle - self.bench - self.control - load_s
        beside = self.wall - self.gateway_core_idle - self.gateway
        if cores > 1:
            return max(0.0, (others + beside) / 2) / self.wall
        return max(0.0, others, beside if measured else 0.0) / self.wall


def measure(running: Running, phase: Phase, mock: int, stage: Stage) -> Row:
    """One measurement. `gateway_core`, `load_core` and `strangers` are shares of one core."""
    booked = running.target.booked
    wanted = settled(booked) if booked else 0
    before = Clocks.read(running, mock)
    row, loaded = run_load(running, phase, stage.folder)
    used = Clocks.read(running, mock).since(before)
    late = lag(booked, wanted + row["requests"] - row["bad_status"]) if booked else {}
    strangers = used.strangers(row["load_cpu_s"], measured=bool(running.target.command), cores=stage.cores)
    return {
        **row,
        "cpu_us_per_request": per(used.gateway, row["requests"]),
        "cpu_us_per_event": per(used.gateway, row["events"]),
        "control_us_per_request": per(used.control, row["requests"]),
        "gateway_core": round(used.gateway / used.wall, 3),
        "load_core": round((used.bench + used.control + row["load_cpu_s"]) / used.wall, 3),
        "strangers": round(strangers, 3),
        **in_words(loaded, ""),
        **in_words(running.at_rest, "idle_"),
        **late,
    }


def in_words(amount: Memory, state: str) -> Row:
    """Columns of a row."""
    return {f"pss_{state}mib": round(amount.pss_mib, 1), f"rss_{state}mib": round(amount.rss_mib, 1)}


def per(seconds: float, count: int) -> float | None:
    """Microseconds for each of `count`; None when there are none."""
    return round(seconds * 1e6 / count, 3) if count else None


@contextlib.contextmanager
def mock_engine(ports: Sequence[int]) -> Iterator[int]:
    """The mock on its ports; yields its process id."""
    engine = subprocess.Popen([MOCK, *map(str, ports)])
    try:
        time.sleep(0.2)
        if engine.poll() is not None:
            raise SystemExit("bench: the mock engine did not start; are its ports taken?")
        yield engine.pid
    finally:
        engine.kill()
        engine.wait()


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder for one run."""
    with tempfile.TemporaryDirectory(prefix="parvis-bench-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def staged(cores: int = 1) -> Iterator[tuple[Stage, int]]:
    """A stage with a mock that runs, and the mock's process id."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    bound = on_core(LOAD_CORE) if cores == 1 else contextlib.nullcontext()
    with scratch() as folder, bound:
        stage = Stage(folder, (free_port(), free_port()), cores)
        write_certificate(stage.folder)
        with mock_engine(stage.mock_ports) as mock:
            yield stage, mock


@contextlib.contextmanager
def started(names: Sequence[str], stage: Stage) -> Iterator[list[Running]]:
    """Those of the named targets that became ready, after a moment of rest; the others are named on the way."""
    runs: list[Running] = []
    ready: list[Running] = []
    try:
        for name in names:
            running = Running(target(name, stage), stage)
            runs.append(running)
            if running.wait_ready(running.answers):
                ready.append(running)
                say(f"{name} is ready")
            else:
                say(f"{name} did not start, left out\n{running.output(1500)}")
        time.sleep(1)
        for running in ready:
            running.rest()
        yield ready
    finally:
        for running in reversed(runs):
            running.stop()


def run(plan: Plan, keep: Callable[[Row], None]) -> list[str]:
    """Measure, and give each row to `keep`; returns the names of the targets that were measured."""
    part = "gateways" if plan.cores == 1 else "two-cores"
    suffix = "" if plan.cores == 1 else TWO_CORES
    with staged(plan.cores) as (stage, mock), started(plan.targets, stage) as ready:
        for running in ready:
            keep({"kind": "target", "part": part, "target": running.name, "checks_keys": running.checks_keys()})
        steps = plan.steps(ready)
        for count, (number, phase, running) in enumerate(steps, 1):
            send_all_but(running.everything, [other.everything for other in ready])
            quiet = wait_quiet(running.everything)
            run_load(running, plan.first if number == 0 and phase.name == plan.loads[0].name else WAKE_UP, stage.folder)
            row = {"target": running.name, "phase": phase.name + suffix, "round": number, "quiet": quiet}
            row |= measure(running, phase, mock, stage)
            keep({"kind": "gateway", "part": part, **row})
            show(row, f"{count}/{len(steps)}")
        return [running.name for running in ready]


def show(row: Row, progress: str) -> None:
    """One line for the eye."""
    wrong = row["bad_status"] + row["broken"] + row["cut"]
    print(
        f"{progress:>7} {row['phase']:8} {row['target']:13} {row['requests_per_s']:9,.1f}/s"
        f" {row['cpu_us_per_request'] or 0:9,.1f} us/request {row['cpu_us_per_event'] or 0:7,.2f} us/event"
        f" {row['events_per_s']:7,.0f} events/s p50 {row['latency_us_p50'] / 1e3:8.2f}"
        f" p99 {row['latency_us_p99'] / 1e3:8.2f} ms cores {row['gateway_core']:.2f} {row['load_core']:.2f}"
        f" strangers {row['strangers']:.2f} wrong {wrong} left {row['unfinished']} {row['rss_mib']:.0f} MiB"
        + (f" behind {row['backlog']} {row['drained_s']} s" if "backlog" in row else ""),
        flush=True,
    )
