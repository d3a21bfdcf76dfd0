"""A decision of routing, told: each candidate with its scores or why it was none, and what tipped the scales."""

from collections.abc import Sequence
from dataclasses import dataclass

from parvis.domain.fleet.replica import Replica
from parvis.domain.fleet.routing import BUSY, MARKS, SHUT, Choice, Weights, cost_score, weight_score

SCORES = ("load", "prefix", "latency", "weight", "cost")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One replica of the pool. Its scores and their weighted mean, `total`, are 0 to 1; 0 where it was filtered."""

    replica_id: str
    filtered: str = ""
    """Why it could not take the request; empty if it could."""
    load: float = 0.0
    prefix: float = 0.0
    latency: float = 0.0
    weight: float = 0.0
    cost: float = 0.0
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class Explained:
    """One decision. A request that was tried elsewhere, or had to wait, has had several; the last one counts."""

    request_id: str
    pool: str
    picked: str
    """A replica; empty when none was."""
    why: str
    candidates: tuple[Candidate, ...]
    """In the order in which equals were preferred."""
    weights: Weights


def explain(request_id: str, pool: str, choice: Choice, replicas: Sequence[Replica], weights: Weights) -> Explained:
    """Tell a choice among these replicas, which are in the order of its marks."""
    candidates = tuple(_candidate(choice, at, replicas) for at in range(len(replicas)))
    picked = candidates[choice.picked].replica_id if choice.picked >= 0 else ""
    return Explained(request_id, pool, picked, _why(choice, candidates, weights), candidates, weights)


def _candidate(choice: Choice, at: int, replicas: Sequence[Replica]) -> Candidate:
    replica = replicas[at]
    if not choice.marks:
        return Candidate(replica.replica_id)
    load, prefix, latency, total = choice.marks[at * MARKS : (at + 1) * MARKS]
    if total < 0:
        return Candidate(replica.replica_id, f"{SHUT[total]}: {said}" if (said := choice.shut.get(at)) else SHUT[total])
    weight = weight_score(replica, max(one.weight for one in replicas))
    cost = cost_score(replica, max(one.cost for one in replicas))
    return Candidate(replica.replica_id, "", load, prefix, latency, weight, cost, total)


def _why(choice: Choice, candidates: Sequence[Candidate], weights: Weights) -> str:
    if choice.picked < 0:
        return "All that could take it are busy or asleep: it waits." if choice.picked == BUSY else "None can take it."
    if not choice.marks:
        return "It is the only one of its pool: nothing was weighed."
    best = candidates[choice.picked]
    others = [one for one in candidates if not one.filtered and one is not best]
    if not others:
        return "It is the only one that can take it."
    second = max(others, key=lambda one: one.total)
    ahead = {score: getattr(weights, score) * (getattr(best, score) - getattr(second, score)) for score in SCORES}
    decisive = max(SCORES, key=lambda score: ahead[score])
    if ahead[decisive] <= 0:
        return "Equals take turns."
    return f"It is ahead of {second.replica_id} by its score for {decisive}."
