"""Promise 28: the laws of ledger, limits and holds, and those of routing and queue, hold under any interleaving.

Each seed is a schedule: of gateways, control, engines, clients and a clock with faults (`parvis.testing.simulation`),
or of a pool whose replicas fail in every way, and of tenants that wait for it (`parvis.testing.fleet_simulation`). What
a law says of a seed that broke it, `python -m MODULE SEED 1` says again.
"""

import json
import os
import subprocess
import sys
import time
from typing import Literal

import pytest

from parvis.testing import planted_bugs as planted
from parvis.testing.fleet_bugs import BUGS, first_fleet_broken
from parvis.testing.planted_bugs import Plant, first_broken
from parvis.testing.simulation import simulate

MONEY, FLEET = "parvis.testing.simulation", "parvis.testing.fleet_simulation"
SCHEDULES = {MONEY: {"C": 20_000, "N": 1_000_000}, FLEET: {"C": 2_000, "N": 200_000}}
SCHEDULES_OF_A_CONTROL = 2_000
S_MAX = {"C": 115, "N": 7_200}
OF_ROWS: dict[int, Plant] = {
    1: planted.counted_late,
    3: planted.read_then_write,
    4: planted.voids_are_skipped,
    5: planted.counted_twice,
    6: planted.priced_again("cached"),
    14: planted.by_the_clock_of_the_node,
}
"""The planted bugs of the other promises of money, in miniature."""


def broken_by(module: str, schedules: int, s_max: int) -> dict[int, list[str]]:
    """Shared among processes of their own, one for each processor."""
    workers = os.cpu_count() or 1
    each = -(-schedules // workers)
    command = [sys.executable, "-m", module]
    running = [
        subprocess.Popen([*command, str(start), str(min(each, schedules - start))], stdout=subprocess.PIPE)
        for start in range(0, schedules, each)
    ]
    try:
        told = [json.loads(worker.communicate(timeout=s_max)[0]) for worker in running]
    finally:
        for worker in running:
            worker.kill()
            worker.wait()
    return {int(seed): laws for part in told for seed, laws in part.items()}


@pytest.mark.parametrize("module", SCHEDULES)
def test_no_schedule_breaks_a_law(module: str, level: Literal["C", "N"]) -> None:
    started_s, schedules = time.monotonic(), SCHEDULES[module][level]
    broken = broken_by(module, schedules, S_MAX[level])
    took_s = time.monotonic() - started_s
    print(f"\nrow 28: {schedules} schedules of {module} in {took_s:.1f} s, {len(broken)} break a law")
    assert dict(list(broken.items())[:3]) == {}


@pytest.mark.parametrize("row", OF_ROWS)
def test_control_the_bug_of_a_row_is_noticed(row: int, monkeypatch: pytest.MonkeyPatch) -> None:
    OF_ROWS[row](monkeypatch)
    laws = first_broken(SCHEDULES_OF_A_CONTROL)
    print(f"control of row 28 by row {row}: {laws[:1]}")
    assert laws != []


@pytest.mark.parametrize("bug", BUGS)
def test_control_a_bug_of_routing_or_queue_is_noticed(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BUGS[bug](monkeypatch)
    laws = first_fleet_broken(SCHEDULES_OF_A_CONTROL)
    print(f"control of row 28 by '{bug}': {laws[:1]}")
    assert laws != []


def test_a_failure_replays_from_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    planted.counted_twice(monkeypatch)
    seed = next(seed for seed in range(SCHEDULES_OF_A_CONTROL) if simulate(seed))
    assert simulate(seed) == simulate(seed) != []
