"""An act that happens once, however often it is asked for under the same `Idempotency-Key`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody is about to do it. Principal and key name it; again with another fingerprint is a mistake of theirs."""

    principal: str
    idempotency_key: str
    fingerprint: str
    """Of what is asked: the same for the same method, path and body."""
    at_unix_ms: int


@dataclass(frozen=True, slots=True)
class Kept:
    """The answer that whoever asks again is given. Without a body it held a secret: `made` says what came of it."""

    status: int
    body: bytes | None
    made: str = ""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier request left under the same key. Without an answer it still runs."""

    fingerprint: str
    kept: Kept | None
