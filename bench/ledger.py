"""How far the ledger is behind the answers: requests that are not booked yet when a load ends, and until they are."""

import time
from collections.abc import Callable
from typing import Any

STILL_S = 0.25  # ingest works every 50 ms: a count that stands for so long has arrived
PATIENCE_S = 60.0
Booked = Callable[[], int]


def settled(booked: Booked) -> int:
    """The count, once it stands still."""
    deadline = time.monotonic() + PATIENCE_S
    count, since = booked(), time.monotonic()
    while time.monotonic() < min(since + STILL_S, deadline):
        time.sleep(0.05)
        if (fresh := booked()) != count:
            count, since = fresh, time.monotonic()
    return count


def lag(booked: Booked, wanted: int) -> dict[str, Any]:
    """`backlog`: how many of `wanted` are not booked now; `drained_s`: until all are, None when that never came."""
    start = time.monotonic()
    backlog = max(0, wanted - booked())
    missing = backlog
    while missing and time.monotonic() < start + PATIENCE_S:
        time.sleep(0.02)
        missing = max(0, wanted - booked())
    return {"backlog": backlog, "drained_s": None if missing else round(time.monotonic() - start, 2)}
