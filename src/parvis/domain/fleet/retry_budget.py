"""How many attempts a gateway may make beyond the first one of each request, so that retries never become a storm."""

WINDOW_S = 10
SHARE = 0.2
"""Second attempts for each first one: all attempts together stay within 1.2 of the requests."""
FLOOR = 10
"""So many in a window are free, so that a gateway with little to do may try again too."""


class RetryBudget:
    """Counts requests and retries of the last seconds, in slots of one second.

    A retry leaves the window before the requests that paid for it could pay again: over any time there are at most
    `SHARE` of the requests, and the floor of each window.
    """

    __slots__ = ("_asked", "_now_s", "_requests", "_retries", "_tried")

    def __init__(self) -> None:
        self._asked = [0] * WINDOW_S
        self._tried = [0] * WINDOW_S
        self._requests = self._retries = 0
        self._now_s = 0

    def request(self, now_s: float) -> None:
        """A request makes its first attempt."""
        second = int(now_s)
        if second > self._now_s:
            self._turn(second)
        self._asked[self._now_s % WINDOW_S] += 1
        self._requests += 1

    def spend(self, now_s: float) -> bool:
        """Take one retry, if one is left."""
        second = int(now_s)
        if second > self._now_s:
            self._turn(second)
        if self._retries + 1 > max(FLOOR, SHARE * self._requests):
            return False
        self._tried[self._now_s % WINDOW_S] += 1
        self._retries += 1
        return True

    def _turn(self, second: int) -> None:
        """Forget what is older than the window."""
        for passed in range(max(self._now_s + 1, second - WINDOW_S + 1), second + 1):
            slot = passed % WINDOW_S
            self._requests -= self._asked[slot]
            self._retries -= self._tried[slot]
            self._asked[slot] = self._tried[slot] = 0
        self._now_s = second
