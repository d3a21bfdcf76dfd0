"""How many machines a pool needs, so that its first tokens come in time: asked of the simulation."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from parvis.domain.fleet.scenario import Scenario
from parvis.flows.simulated_figures import Figures, percentile
from parvis.flows.simulated_fleet import simulate

MACHINES_MAX = 4_096


@dataclass(frozen=True)
class Found:
    """The least number of machines that is enough, and what it gives."""

    pool: str
    machines: int
    """0: not even `MACHINES_MAX` are enough."""
    first_ms: float
    availability: float
    tried: int


def enough(figures: Figures, pool: str, percent: float, first_ms: float, availability_min: float) -> bool:
    """Whether so many in a hundred of short prompts came in time, and enough were answered."""
    found = figures.pools[pool]
    return percentile(sorted(found.short_ms), percent) <= first_ms and found.availability >= availability_min


def find_machines(
    scenario: Scenario, pool: str, seed: int, percent: float, first_ms: float, tell: Callable[[int, bool], None]
) -> Found:
    """Double until it is enough, then halve the gap. `tell` hears of each number that was tried, and whether it was."""
    alone = replace(scenario, pools={pool: scenario.pools[pool]})
    runs: dict[int, Figures] = {}

    def good(machines: int) -> bool:
        runs[machines] = simulate(alone.with_machines(pool, machines), seed)
        result = enough(runs[machines], pool, percent, first_ms, scenario.availability_min)
        tell(machines, result)
        return result

    high = 1
    while not good(high):
        if high >= MACHINES_MAX:
            return Found(pool, 0, 0.0, 0.0, len(runs))
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        if good(middle):
            high = middle
        else:
            low = middle
    pool_figures = runs[high].pools[pool]
    found_ms = percentile(sorted(pool_figures.short_ms), percent)
    return Found(pool, high, found_ms, pool_figures.availability, len(runs))
