"""Traffic for a simulation: who asks what when. Drawn from a seed, or recorded.

People hold conversations: each turn sends all that was said before, behind a system text that many conversations of one
tenant share. So prompts have beginnings in common, and a machine that has read one need not read it again. Pure.
"""

import heapq
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

SHORT_TOKENS_MAX = 512
"""What is called a short prompt where goals are told."""
_CONVERSATION_BITS = 20
"""A conversation has fewer blocks than 2 to the power of this."""
_SYSTEM = 1 << 60


class Call(NamedTuple):
    """One request. Its prompt is the beginning of its conversation, of which the first part is its system text."""

    at_ms: float
    tenant: int
    pool: str
    conversation: int
    """Names all texts that nobody else has: equal numbers continue each other."""
    system: int
    """Names a text that conversations of one tenant share."""
    system_tokens: int
    prompt_tokens: int
    output_tokens: int

    def blocks(self, block_tokens: int) -> tuple[int, ...]:
        """A number for each whole block of prompt and answer. Equal ones stand for equal beginnings of one tenant."""
        whole = (self.prompt_tokens + self.output_tokens) // block_tokens
        shared = min(self.system_tokens // block_tokens, whole)
        system = _SYSTEM + (self.tenant << 40) + (self.system << _CONVERSATION_BITS)
        own = (self.conversation + 1) << _CONVERSATION_BITS
        return (*range(system, system + shared), *range(own + shared, own + whole))


@dataclass(frozen=True, slots=True)
class PoolTraffic:
    """What one pool is asked for. Lengths are means of log-normal draws, numbers of turns of geometric ones."""

    pool: str
    output_tokens_per_s: float
    """Of all answers together, on average."""
    tenants: int = 20
    tenants_skew: float = 1.0
    """The n-th tenant asks for 1 / n to the power of this beside the first; 0: all alike."""
    systems: int = 2
    """System texts of a tenant."""
    system_tokens: int = 200
    turns: float = 4.0
    message_tokens: float = 60.0
    answer_tokens: float = 200.0
    answer_tokens_max: int = 1_000
    context_tokens_max: int = 4_000
    """A conversation that would be longer has ended."""
    think_s: float = 40.0
    """Between two turns, on average, the time in which the answer is read included."""
    burst: float = 3.0
    """How many times more conversations begin in a burst than in calm; 1: evenly (Poisson)."""
    burst_s: float = 20.0
    calm_s: float = 100.0


def generate(plans: tuple[PoolTraffic, ...], seed: int, seconds: float) -> Iterator[Call]:
    """All calls of these seconds, in their order. The same seed gives the same calls."""
    streams = [_pool_calls(plan, random.Random(f"{seed} {plan.pool}"), seconds, n) for n, plan in enumerate(plans)]  # noqa: S311 - drawn, not secret
    return heapq.merge(*streams)


def _pool_calls(plan: PoolTraffic, dice: random.Random, seconds: float, number: int) -> Iterator[Call]:
    """Conversations begin, and each goes on by itself."""
    coming: list[Call] = []
    tenants = range(plan.tenants)
    shares = [1 / (tenant + 1) ** plan.tenants_skew for tenant in tenants]
    for count, begin_s in enumerate(_beginnings(plan, dice, seconds)):
        while coming and coming[0].at_ms <= begin_s * 1000:
            yield heapq.heappop(coming)
        conversation = count * 64 + number
        turns = 1 + int(math.log(1 - dice.random()) / math.log(1 - 1 / plan.turns)) if plan.turns > 1 else 1
        tenant = dice.choices(tenants, shares)[0]
        for call in _conversation(plan, dice, begin_s, turns, (tenant, conversation)):
            if call.at_ms < seconds * 1000:
                heapq.heappush(coming, call)
    while coming:
        yield heapq.heappop(coming)


def _beginnings(plan: PoolTraffic, dice: random.Random, seconds: float) -> Iterator[float]:
    """When conversations begin: as often as the tokens ask for, in bursts and in calm."""
    mean = plan.output_tokens_per_s / (plan.turns * plan.answer_tokens)
    calm = mean * (plan.calm_s + plan.burst_s) / (plan.calm_s + plan.burst * plan.burst_s)
    now_s, phase_ends_s, bursting = 0.0, dice.expovariate(1 / plan.calm_s), False
    while now_s < seconds:
        step_s = dice.expovariate(calm * (plan.burst if bursting else 1))
        if now_s + step_s < phase_ends_s:
            now_s += step_s
            if now_s < seconds:
                yield now_s
        else:
            now_s, bursting = phase_ends_s, not bursting
            phase_ends_s += dice.expovariate(1 / (plan.burst_s if bursting else plan.calm_s))


def _conversation(
    plan: PoolTraffic, dice: random.Random, begin_s: float, turns: int, whose: tuple[int, int]
) -> Iterator[Call]:
    """Its turns. The next one comes when people have read and thought, whether or not the answer was in time."""
    tenant, conversation = whose
    system, at_s, said = dice.randrange(plan.systems), begin_s, plan.system_tokens
    for _ in range(turns):
        said += _length(dice, plan.message_tokens)
        answer = min(_length(dice, plan.answer_tokens), plan.answer_tokens_max)
        if said + answer > plan.context_tokens_max:
            return
        yield Call(at_s * 1000, tenant, plan.pool, conversation, system, plan.system_tokens, said, answer)
        said += answer
        at_s += dice.expovariate(1 / plan.think_s)


def _length(dice: random.Random, mean: float, spread: float = 0.6) -> int:
    """Log-normal with this mean; `spread` is the standard deviation of its logarithm."""
    return max(1, round(dice.lognormvariate(math.log(mean) - spread * spread / 2, spread)))
