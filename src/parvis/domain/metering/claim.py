"""A request that must be served once: what follows for who sends it under a key that may have been taken before."""

from dataclasses import dataclass
from enum import StrEnum

KEPT_MS = 86_400_000
"""After a day a key is free again, and its answer is forgotten."""


class Verdict(StrEnum):
    """What is to be done with a request that claims a key."""

    RUN = "run"
    """The key is its own now."""
    WAIT = "wait"
    """The first one under this key still runs."""
    REPLAY = "replay"
    """The first one has ended, and its answer was kept."""
    REUSED = "idempotency_key_reused"
    """The first one was another request."""
    NOT_KEPT = "idempotent_result_not_kept"
    """The first one has ended, and its answer was too large, or could not be kept."""


class ClaimState(StrEnum):
    """How far a claimed request has come. One that failed leaves no claim behind."""

    RUNNING = "running"
    KEPT = "kept"
    NOT_KEPT = "not_kept"


@dataclass(frozen=True, slots=True)
class Claim:
    """A request that wants to be the one under its key. Tenant and key name it."""

    tenant_id: str
    idempotency_key: str
    fingerprint: str
    """Of what is asked: the same for the same tenant, method, path and body."""
    ask: str
    """The gateway's name for this attempt: whoever sends it again means the same one."""
    incarnation: str
    """The run of the gateway that would serve it."""
    at_unix_ms: int = 0


@dataclass(frozen=True, slots=True)
class Earlier:
    """What stands under a key already."""

    fingerprint: str
    ask: str
    state: ClaimState
    run_ended: bool
    """The gateway that held it is gone, and its journal was read to the end: nobody works on it any more."""
    at_unix_ms: int


def judge(claim: Claim, earlier: Earlier | None) -> Verdict:
    """Whether the claim takes its key, and if not, what its request gets instead."""
    if earlier is None or claim.at_unix_ms - earlier.at_unix_ms >= KEPT_MS:
        return Verdict.RUN
    running = earlier.state is ClaimState.RUNNING
    if running and (earlier.run_ended or earlier.ask == claim.ask):
        return Verdict.RUN
    if earlier.fingerprint != claim.fingerprint:
        return Verdict.REUSED
    if running:
        return Verdict.WAIT
    return Verdict.REPLAY if earlier.state is ClaimState.KEPT else Verdict.NOT_KEPT
