"""Who was refused why, in the log: what callers are not told, for those who look after the service."""

import logging
from collections.abc import Callable

from parvis.core.errors import NotAuthenticated

LINES_PER_S = 10
"""On average. Beyond a burst of a hundred the rest is counted, so that nobody fills a disk by being refused."""
BURST = 100
_log = logging.getLogger("parvis.inference")


class RefusalLog:
    """One line a refused credential: its reason, the caller's address, and the id of a key whose checksum was right."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._room = float(BURST)
        self._seen_s = monotonic_s()
        self._left_out = 0

    def tell(self, refusal: NotAuthenticated, request_id: str, address: str) -> None:
        """Never raises, never waits for more than the write of a line."""
        now_s = self._monotonic_s()
        self._room = min(BURST, self._room + (now_s - self._seen_s) * LINES_PER_S)
        self._seen_s = now_s
        if self._room < 1:
            self._left_out += 1
            return
        self._room -= 1
        told = {"request_id": request_id, "reason": str(refusal.reason or "no key"), "address": address}
        if refusal.key_id:
            told["key_id"] = refusal.key_id
        if self._left_out:
            told["left_out"] = str(self._left_out)
            self._left_out = 0
        _log.warning("credential refused", extra=told)
