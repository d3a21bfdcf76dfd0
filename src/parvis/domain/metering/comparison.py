"""What engines counted themselves, beside what the ledger has of them.

A difference that is not zero is a question: tokens that nobody was billed for, or that nobody computed. What a counter
cannot say is not compared and named: llama.cpp's leaves cached prompt tokens out.
"""

from dataclasses import dataclass
from typing import NamedTuple

from parvis.core.tokens import TokenCount


class Counters(NamedTuple):
    """An engine's counters since it started."""

    prompt_tokens: int
    completion_tokens: int
    running: int
    """Requests that it computes or that wait in it."""
    counts_cached: bool
    """Whether cached prompt tokens are among `prompt_tokens`."""


class Booked(NamedTuple):
    """What the ledger has of one replica over a span."""

    requests: int
    tokens: TokenCount
    estimated_requests: int
    """Whose tokens are no engine's count."""
    cut_requests: int
    """That ended early: an engine may have computed more than was delivered."""


class Baseline(NamedTuple):
    """Counters at an instant at which the engine had nothing to do, so that every later request is whole."""

    counters: Counters
    since_unix_ms: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """One replica. The differences are the engine's count less the ledger's."""

    replica_id: str
    since_unix_ms: int
    engine_prompt_tokens: int
    engine_completion_tokens: int
    booked: Booked
    prompt_difference: int
    completion_difference: int
    counts_cached: bool
    running: int
    """Requests that had not ended: while there are any, a difference says nothing."""

    @property
    def difference(self) -> int:
        """Tokens that one of them has and the other has not."""
        return abs(self.prompt_difference) + abs(self.completion_difference)


def has_restarted(before: Counters, now: Counters) -> bool:
    """Counters that fell are those of another life."""
    return now.prompt_tokens < before.prompt_tokens or now.completion_tokens < before.completion_tokens


def compare(replica_id: str, baseline: Baseline, now: Counters, booked: Booked, running: int) -> Comparison:
    """What was counted since the baseline, against what was booked since."""
    prompt = now.prompt_tokens - baseline.counters.prompt_tokens
    completion = now.completion_tokens - baseline.counters.completion_tokens
    booked_prompt = booked.tokens.prompt_total if now.counts_cached else booked.tokens.input
    return Comparison(
        replica_id=replica_id,
        since_unix_ms=baseline.since_unix_ms,
        engine_prompt_tokens=prompt,
        engine_completion_tokens=completion,
        booked=booked,
        prompt_difference=prompt - booked_prompt,
        completion_difference=completion - booked.tokens.completion_total,
        counts_cached=now.counts_cached,
        running=running,
    )
