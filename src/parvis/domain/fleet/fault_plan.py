"""What goes wrong with the machines of a simulation, and when: drawn from a seed. Pure."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class FaultKind(StrEnum):
    """What happens to a replica."""

    CRASH = "crash"
    """It dies with all that runs on it, and forgets all that it had read; it is back when it has started again."""
    FREEZE = "freeze"
    """It stands still, connections stay open; then it goes on as if nothing had been."""
    SLOW = "slow"
    """Every step takes several times as long."""
    CUT = "cut"
    """The network in between is gone: what runs is lost, nothing reaches it."""


class Fault(NamedTuple):
    """One of them."""

    at_ms: float
    replica: int
    """Its number in the fleet."""
    kind: FaultKind
    for_ms: float
    times: float = 1.0
    """By how much slower."""


@dataclass(frozen=True, slots=True)
class FaultRates:
    """How often each kind strikes one replica: hours between two; 0: never. And how long it lasts."""

    crash_hours: float = 0.0
    freeze_hours: float = 0.0
    slow_hours: float = 0.0
    cut_hours: float = 0.0
    restart_s: float = 60.0
    """From the crash until it answers again: weights of 8B to 70B from a local disk."""
    freeze_s: float = 30.0
    slow_s: float = 300.0
    slow_times: float = 4.0
    cut_s: float = 20.0


NO_FAULTS = FaultRates()
USUAL = FaultRates(crash_hours=24, freeze_hours=72, slow_hours=72, cut_hours=72)
"""Each machine has something once in twelve hours. Assumed: worse than what operators of GPU fleets publish."""
HARSH = FaultRates(crash_hours=4, freeze_hours=4, slow_hours=4, cut_hours=4)
"""One thing an hour on each machine. Assumed; to see what breaks first."""
PLANS = {"none": NO_FAULTS, "usual": USUAL, "harsh": HARSH}


def draw(rates: FaultRates, replicas: Sequence[int], seed: int, seconds: float) -> list[Fault]:
    """All faults of these seconds, in their order. Of one replica none begins before the last one is over."""
    faults: list[Fault] = []
    for replica in replicas:
        dice = random.Random(f"faults {seed} {replica}")  # noqa: S311 - drawn, not secret
        free_ms = 0.0
        for fault in sorted(_of(rates, dice, replica, seconds)):
            if fault.at_ms >= free_ms:
                faults.append(fault)
                free_ms = fault.at_ms + fault.for_ms
    return sorted(faults)


def _of(rates: FaultRates, dice: random.Random, replica: int, seconds: float) -> list[Fault]:
    kinds = (
        (FaultKind.CRASH, rates.crash_hours, rates.restart_s),
        (FaultKind.FREEZE, rates.freeze_hours, rates.freeze_s),
        (FaultKind.SLOW, rates.slow_hours, rates.slow_s),
        (FaultKind.CUT, rates.cut_hours, rates.cut_s),
    )
    faults = []
    for kind, hours, lasts_s in kinds:
        at_s = dice.expovariate(1 / (hours * 3600)) if hours else seconds
        while at_s < seconds:
            for_ms = lasts_s * dice.uniform(0.5, 1.5) * 1000
            faults.append(Fault(at_s * 1000, replica, kind, for_ms, rates.slow_times))
            at_s += dice.expovariate(1 / (hours * 3600))
    return faults
