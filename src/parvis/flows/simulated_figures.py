"""What a simulation found: every request ends in exactly one of these counts, and all figures come from all of them."""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from parvis.domain.fleet.modelled_traffic import SHORT_TOKENS_MAX, Call


class End(StrEnum):
    """How a request ended."""

    ANSWERED = "answered"
    FAILED = "failed"
    """No replica took it, or it waited too long: an honest error before the first token."""
    BROKEN = "broken"
    """Its replica died after the first token: an error event, and no more."""
    REFUSED = "refused"
    """A limit of its tenant said no, or too much of this tenant waited."""


@dataclass
class PoolFigures:
    """Of one pool."""

    ends: Counter[End] = field(default_factory=Counter)
    first_ms: "array[float]" = field(default_factory=lambda: array("d"))
    """Of all that got a first token."""
    short_ms: "array[float]" = field(default_factory=lambda: array("d"))
    """Of short prompts alone."""
    wait_ms: "array[float]" = field(default_factory=lambda: array("d"))
    """For a place on a replica."""
    tenants: Counter[int] = field(default_factory=Counter)
    """Output tokens of each, of whole answers."""
    tenant_ms: dict[int, "array[float]"] = field(default_factory=dict)
    retried: int = 0
    tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0

    def ended(self, call: Call, end: End) -> None:
        """Once for each request."""
        self.ends[end] += 1
        if end is End.ANSWERED:
            self.tokens += call.output_tokens
            self.tenants[call.tenant] += call.output_tokens

    def began(self, call: Call, first_ms: float, waited_ms: float, cached_tokens: int) -> None:
        """Its first token left."""
        self.first_ms.append(first_ms)
        self.wait_ms.append(waited_ms)
        if call.prompt_tokens <= SHORT_TOKENS_MAX:
            self.short_ms.append(first_ms)
        self.tenant_ms.setdefault(call.tenant, array("d")).append(first_ms)
        self.prompt_tokens += call.prompt_tokens
        self.cached_tokens += cached_tokens

    @property
    def requests(self) -> int:
        return self.ends.total()

    @property
    def availability(self) -> float:
        """Answered whole, of all that no limit refused."""
        asked = self.requests - self.ends[End.REFUSED]
        return self.ends[End.ANSWERED] / asked if asked else 1.0

    @property
    def hit_rate(self) -> float:
        """Tokens of prompts that a replica did not have to read again."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else 0.0

    @property
    def fairness(self) -> float:
        """Jain's index over the median waits of tenants for their first tokens: 1 when all wait alike."""
        medians = [percentile(sorted(times), 50) for times in self.tenant_ms.values()]
        squares = len(medians) * sum(one * one for one in medians)
        return sum(medians) ** 2 / squares if squares else 1.0


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest rank in sorted values; 0 when there are none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


@dataclass
class Figures:
    """Of a whole run."""

    pools: dict[str, PoolFigures]
    seconds: float
    """Of simulated time, until the last request had ended."""
    faults: int = 0
    busy: dict[str, float] = field(default_factory=dict)
    """The share of the time in which a pool's GPUs worked."""
    preempted: int = 0

    @property
    def requests(self) -> int:
        return sum(pool.requests for pool in self.pools.values())

    @property
    def availability(self) -> float:
        """Of all pools together."""
        asked = sum(pool.requests - pool.ends[End.REFUSED] for pool in self.pools.values())
        answered = sum(pool.ends[End.ANSWERED] for pool in self.pools.values())
        return answered / asked if asked else 1.0
