"""The whole bench: peers, gateways side by side, the service with its embedded engine, and the report.

usage: run.py [--rounds 3] [--targets nginx,parvis] [--phases sat,sse100,sse500] [--no-engine] [--name NAME]
Status 1 when the product did not start or an answer of its engine failed.
"""

import argparse
import contextlib
import datetime as dt
import json
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bench
import engine
import summary
from conditions import conditions
from peers import prepare, say
from places import RESULTS
from service import ENGINE_MODEL, GATEWAY_PORT, parvis_home
from targets import NAMES, Running, Target


@contextlib.contextmanager
def service_with_engine() -> Iterator[engine.Service | None]:
    """The product with its embedded engine, unbound and alone on the machine; None when it did not start."""
    with tempfile.TemporaryDirectory(prefix="parvis-bench-") as name:
        folder = Path(name)
        wanted = Target("parvis", GATEWAY_PORT, *parvis_home(folder, "parvis-engine.toml"), core=None)
        running = Running(wanted, folder)
        try:
            service = engine.Service(f"http://127.0.0.1:{GATEWAY_PORT}/v1", "", ENGINE_MODEL)
            ready = running.wait_ready(lambda key: engine.answers(service.with_key(key)))
            if not ready:
                say(f"the service with its engine did not start\n{running.output(1500)}")
            yield service.with_key(running.key) if ready else None
        finally:
            running.stop()


def engine_rows() -> list[dict[str, Any]]:
    """The rows of the engine bench; none when the service did not start."""
    with service_with_engine() as service:
        return engine.measure(service) if service else []


def append(results: Path, kind: str, rows: list[dict[str, Any]]) -> None:
    """Add rows to a file of JSON lines."""
    with results.open("a") as lines:
        lines.writelines(json.dumps({"kind": kind, **row}) + "\n" for row in rows)


def options() -> argparse.Namespace:
    """What was asked on the command line."""
    today = dt.datetime.now(tz=dt.UTC).strftime("%Y-%m-%d")
    parser = argparse.ArgumentParser(description="Measure the product beside its peers.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--targets", type=bench.words, default=NAMES)
    parser.add_argument("--phases", type=bench.words, default=bench.STANDARD_PHASES)
    parser.add_argument("--no-engine", action="store_true", help="leave the embedded engine out")
    parser.add_argument("--name", default=today, help="of the files in bench/results")
    return parser.parse_args()


def main() -> int:
    """Measure, then write the report."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is ended
    asked = options()
    prepare()
    RESULTS.mkdir(exist_ok=True)
    results = RESULTS / f"{asked.name}.jsonl"
    results.unlink(missing_ok=True)
    append(results, "conditions", [conditions()])
    measured = bench.run(results, asked.targets, asked.phases, asked.rounds)
    rows = [] if asked.no_engine else engine_rows()
    append(results, "engine", rows)
    page = summary.write(results)
    print(page.read_text())
    say(f"written: {page.name} and its chart, in bench/results")
    complete = set(asked.targets) == set(measured) and (asked.no_engine or bool(rows))
    return int(not complete or any(row["failed"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
