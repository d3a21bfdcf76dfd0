"""What the fake engine remembers of each request: the oracle of tests that count and cancel."""

import time
from typing import Any

import msgspec

RECORDS_MAX = 200_000
"""An engine forgets its oldest records when it has more."""


class Record(msgspec.Struct, kw_only=True):
    """What became of one request. Times are seconds of `time.monotonic`, the same in all processes."""

    id: str
    """The `id` of the answer: the caller's `x-request-id` under a prefix, or a number."""
    x_request_id: str | None
    endpoint: str
    headers: dict[str, str]
    """As received, names in lower case."""
    body: Any = None
    """Decoded; null where the request had none or it was no JSON."""
    stream: bool = False
    status: int | None = None
    """Of the answer; null as long as no byte of it was written."""
    tokens_made: int = 0
    """Computed, whether or not they were sent."""
    tokens_written: int = 0
    """Tokens whose whole event (or body) was handed to the connection."""
    finished: bool = False
    """The answer ended as HTTP says that it should, an error too. False where the engine cut it."""
    cancelled: bool = False
    """The peer left first."""
    cancelled_after_ms: float | None = None
    """From `started_at` to the instant when the engine noticed that the peer had left, and stopped."""
    started_at: float
    """When the whole request had arrived."""
    ended_at: float | None = None
    """When the engine stopped working on it; null as long as it does."""

    @property
    def running(self) -> bool:
        return self.ended_at is None

    def cancel(self) -> None:
        """The peer has left."""
        self.cancelled = True
        self.cancelled_after_ms = (time.monotonic() - self.started_at) * 1000

    def end(self) -> None:
        self.ended_at = time.monotonic()
