"""An asyncio loop on which time passes only when nobody has anything to do: the same seed gives the same run.

    loop = VirtualLoop()
    loop.run_until_complete(an_hour_of_sleep())  # a few microseconds

Nothing outside is waited for: no sockets, no threads. Whoever would wait for ever raises `StalledError` instead.
"""

import asyncio
import contextvars
import selectors
from collections.abc import Callable
from typing import TypeVarTuple, Unpack

_Ts = TypeVarTuple("_Ts")
_TIMERS_MIN = 10_000
"""So many are remembered before those are forgotten that have passed."""


class StalledError(Exception):
    """Somebody waits for what nobody will ever do."""


class _Clockwork(selectors.SelectSelector):
    """Asked by the loop how long to wait for sockets: it moves the clock on instead."""

    now_s = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.between: Callable[[], None] = _nothing

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout == 0:  # somebody has something to do now
            return []
        self.between()
        if timeout is None:
            raise StalledError
        self.now_s += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Cheap to use again: time goes on from one run to the next."""

    def __init__(self) -> None:
        self._clockwork = _Clockwork()
        self._timers: list[asyncio.TimerHandle] = []
        self._timers_max = _TIMERS_MIN
        super().__init__(self._clockwork)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._clockwork.now_s

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """See asyncio."""
        timer = super().call_at(when, callback, *args, context=context)
        self._timers.append(timer)
        if len(self._timers) > self._timers_max:
            now_s = self.time()
            self._timers = [one for one in self._timers if not one.cancelled() and one.when() >= now_s]
            self._timers_max = max(2 * len(self._timers), _TIMERS_MIN)
        return timer

    def clear(self) -> None:
        """End all tasks and forget all timers: nobody of one run is left in the next."""
        tasks = asyncio.all_tasks(self)
        for task in tasks:
            task.cancel()
        if tasks:
            self.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def watch(self, between: Callable[[], None] | None) -> None:
        """Call this whenever everybody waits, before time moves on; None for nobody."""
        self._clockwork.between = between or _nothing


def _nothing() -> None:
    return None
