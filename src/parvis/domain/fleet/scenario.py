"""What a simulation is told: pools of modelled machines, who asks them, what goes wrong, and what is wanted. Pure."""

from dataclasses import dataclass, field, replace

from parvis.domain.fleet.fault_plan import FaultRates
from parvis.domain.fleet.gpu_profiles import PROFILES, GpuProfile
from parvis.domain.fleet.modelled_traffic import PoolTraffic


@dataclass(frozen=True, slots=True)
class Goal:
    """What is promised: of short prompts, so many in a hundred get their first token in less than so much."""

    percentile: int
    first_token_ms: float


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """One pool of machines, and what it is asked for."""

    gpu: str
    """A name of `gpu_profiles.PROFILES`."""
    machines: int
    traffic: PoolTraffic
    slots: int = 0
    """Requests side by side that a gateway gives one machine; 0: those of the profile."""
    goal: Goal | None = None

    @property
    def profile(self) -> GpuProfile:
        """Raises KeyError for a name that there is not."""
        return PROFILES[self.gpu]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fleet and its day."""

    pools: dict[str, PoolPlan]
    gateways: int = 2
    seconds: float = 3_600.0
    faults: FaultRates = field(default_factory=FaultRates)
    availability_min: float = 0.999
    """Of all requests that no limit refused, so many are answered whole."""
    output_tokens_per_hour: int = 0
    """What each tenant may use; 0: no limit."""
    way_ms: float = 3.0
    """What gateway and network add to a first token. Assumed: the bench measures less than a millisecond of our own."""

    def times(self, factor: float) -> "Scenario":
        """The same people, so many times as many."""
        return replace(self, pools={name: _asked(pool, factor) for name, pool in self.pools.items()})

    def with_machines(self, pool: str, machines: int) -> "Scenario":
        """Another size of one pool."""
        return replace(self, pools={**self.pools, pool: replace(self.pools[pool], machines=machines)})


def _asked(pool: PoolPlan, factor: float) -> PoolPlan:
    traffic = pool.traffic
    more = replace(traffic, output_tokens_per_s=traffic.output_tokens_per_s * factor)
    return replace(pool, traffic=replace(more, tenants=max(1, round(traffic.tenants * min(factor, 5)))))


SERVICE = Scenario(
    pools={
        "8b": PoolPlan("7b-a100", 6, PoolTraffic("8b", 240), goal=Goal(50, 200)),
        "13b": PoolPlan("13b-a100", 4, PoolTraffic("13b", 120), goal=Goal(95, 500)),
        "70b": PoolPlan("70b-4xa100", 2, PoolTraffic("70b", 60), goal=Goal(99, 1_000)),
    }
)
"""The service of twelve machines: 420 tokens a second and some hundred people who talk at once, in three size classes.

How the tokens and the machines are shared among the classes is assumed; so are all lengths (see `PoolTraffic`).
"""
BUILT_IN = {"service": SERVICE}
