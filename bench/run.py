"""The whole bench: peers, gateways side by side, the product by itself, and the report.

usage: run.py [--rounds 3] [--targets nginx,parvis] [--phases sat,sse500] [--only soak] [--soak-s 3600] ...
Status 1 when a target did not start or an answer of the product went wrong where none may.
"""

import argparse
import contextlib
import datetime as dt
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import bench
import engine
import readme
import soak
import steps
import summary
from conditions import conditions
from figures import read
from peers import prepare, say
from phases import PHASES
from places import RESULTS, Stage
from rows import PARTS, Row, Rows
from running import Running
from service import ENGINE_MODEL, parvis_home
from targets import NAMES, ON_TWO_CORES, PRODUCT, Target
from wheel import site

TWO_CORE_ROUNDS_MAX = 2
Keep = Callable[[Row], None]


@contextlib.contextmanager
def service_with_engine() -> Iterator[engine.Service | None]:
    """The product with its embedded engine, unbound and alone on the machine; None when it did not start."""
    with bench.scratch() as folder:
        stage = Stage(folder, (0, 0))
        wanted = Target(PRODUCT, **parvis_home(stage, settings="parvis-engine.toml")._asdict(), beside=True)
        running = Running(wanted, stage, bound=False)
        try:
            service = engine.Service(f"http://127.0.0.1:{wanted.port}/v1", "", ENGINE_MODEL)
            ready = running.wait_ready(lambda key: engine.answers(service.with_key(key)))
            if not ready:
                say(f"the service with its engine did not start\n{running.output(1500)}")
            yield service.with_key(running.key) if ready else None
        finally:
            running.stop()


def measure_engine(keep: Keep) -> bool:
    """The embedded engine; whether all its answers came."""
    with service_with_engine() as service:
        rows = engine.measure(service, rounds=1) if service else []
    for row in rows:
        keep({"kind": "engine", "part": "engine", **row})
    return bool(rows) and not any(row["failed"] for row in rows)


def measure_gateways(asked: argparse.Namespace, cores: int, keep: Keep) -> bool:
    """All targets, with one core each or with both; whether all of them started."""
    rounds = asked.rounds if cores == 1 else min(asked.rounds, TWO_CORE_ROUNDS_MAX)
    names = tuple(name for name in asked.targets if cores == 1 or name in ON_TWO_CORES)
    phases = asked.phases if cores == 1 or asked.cores else ()
    measured = bench.run(bench.Plan(names, phases, rounds, cores, asked.scale), keep)
    return set(measured) == set(names)


def measure_soak(seconds: float, keep: Keep) -> bool:
    """The product alone, for long; whether no answer went wrong."""
    rows = soak.run(seconds)
    for row in rows:
        keep(row)
    return bool(rows) and not any(row["wrong"] for row in rows)


def measure_steps(keep: Keep) -> bool:
    """The product's functions, one by one."""
    for row in steps.run():
        keep(row)
    return True


def words(text: str) -> tuple[str, ...]:
    """A comma-separated option."""
    return tuple(text.split(","))


def options() -> argparse.Namespace:
    """What was asked on the command line."""
    today = dt.datetime.now(tz=dt.UTC).strftime("%Y-%m-%d")
    parser = argparse.ArgumentParser(description="Measure the product beside its peers.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--targets", type=words, default=NAMES, help=f"some of {','.join(NAMES)}")
    parser.add_argument("--phases", type=words, default=(), help=f"some of {','.join(PHASES)}, for all targets")
    parser.add_argument("--only", type=words, default=PARTS, help=f"some of {','.join(PARTS)}; other rows stay")
    parser.add_argument("--cores", type=int, choices=(1, 2), help="the same as --only gateways or two-cores")
    parser.add_argument("--soak-s", type=float, default=60.0, help="seconds of the soak")
    parser.add_argument("--scale", type=float, default=1.0, help="of the length of each phase, to try things out")
    parser.add_argument("--name", default=today, help="of the files")
    parser.add_argument("--interpreted", action="store_true", help="measure the sources instead of the wheel")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the files")
    asked = parser.parse_args()
    for known, said in ((NAMES, asked.targets), (PHASES, asked.phases), (PARTS, asked.only)):
        for word in said:
            if word not in known:
                parser.error(f"'{word}' is unknown; there are {', '.join(known)}")
    if asked.cores:
        asked.only = ("gateways" if asked.cores == 1 else "two-cores",)
    return asked


def measure(asked: argparse.Namespace, results: Path) -> bool:
    """All parts that were asked for, in order; whether nothing failed."""
    keep = Rows(results, asked.only).add
    keep({"kind": "conditions", "parts": list(asked.only), **conditions()})
    ways: dict[str, Callable[[], bool]] = {
        "gateways": lambda: measure_gateways(asked, 1, keep),
        "two-cores": lambda: measure_gateways(asked, 2, keep),
        "steps": lambda: measure_steps(keep),
        "soak": lambda: measure_soak(asked.soak_s, keep),
        "engine": lambda: measure_engine(keep),
    }
    good = [ways[part]() for part in PARTS if part in asked.only]
    return all(good)


def use_the_wheel() -> None:
    """Begin again with the compiled product, for this process and all that it starts."""
    place = str(site())
    if os.environ.get("PYTHONPATH") != place:
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"PYTHONPATH": place})  # noqa: S606 - itself


def main() -> int:
    """Measure, then write the report."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is ended
    asked = options()
    compared = {"gateways", "two-cores"} & set(asked.only)
    prepare(asked.targets if compared else (PRODUCT,))
    if not asked.interpreted:
        use_the_wheel()
    asked.out.mkdir(exist_ok=True)
    results = asked.out / f"{asked.name}.jsonl"
    good = measure(asked, results)
    page = summary.write(results)
    print(page.read_text())
    say(f"written: {page.name} and its charts, in {asked.out.name}")
    if asked.out == RESULTS and readme.complete(read(results)):
        readme.write(results)
        say("README.md and README.fr.md have these figures")
    else:
        say("README.md stays as it is: it shows figures of a whole run only")
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
