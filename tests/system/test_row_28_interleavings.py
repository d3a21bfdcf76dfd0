"""Promise 28, for ledger, limits and holds: the laws hold under any interleaving.

Each seed is a schedule of gateways, control, engines, clients and a clock with faults (`parvis.testing.simulation`).
What a law says of a seed that broke it, `python -m parvis.testing.simulation SEED 1` says again.
"""

import json
import os
import subprocess
import sys
import time
from typing import Literal

import pytest

from parvis.testing import planted_bugs as planted
from parvis.testing.planted_bugs import Plant, first_broken
from parvis.testing.simulation import simulate

SCHEDULES = {"C": 20_000, "N": 1_000_000}
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


def broken_by(schedules: int, s_max: int) -> dict[int, list[str]]:
    """Shared among processes of their own, one for each processor."""
    workers = os.cpu_count() or 1
    each = -(-schedules // workers)
    command = [sys.executable, "-m", "parvis.testing.simulation"]
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


def test_no_schedule_breaks_a_law(level: Literal["C", "N"]) -> None:
    started_s = time.monotonic()
    broken = broken_by(SCHEDULES[level], S_MAX[level])
    print(f"\nrow 28: {SCHEDULES[level]} schedules in {time.monotonic() - started_s:.1f} s, {len(broken)} break a law")
    assert dict(list(broken.items())[:3]) == {}


@pytest.mark.parametrize("row", OF_ROWS)
def test_control_the_bug_of_a_row_is_noticed(row: int, monkeypatch: pytest.MonkeyPatch) -> None:
    OF_ROWS[row](monkeypatch)
    laws = first_broken(SCHEDULES_OF_A_CONTROL)
    print(f"control of row 28 by row {row}: {laws[:1]}")
    assert laws != []


def test_a_failure_replays_from_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    planted.counted_twice(monkeypatch)
    seed = next(seed for seed in range(SCHEDULES_OF_A_CONTROL) if simulate(seed))
    assert simulate(seed) == simulate(seed) != []
