"""Time as a value that is handed in, so that a test can hold it still."""

import time
from typing import Protocol


class Clock(Protocol):
    """What the time is. Wall time may jump; monotonic time never does."""

    def unix_ms(self) -> int: ...

    def monotonic_s(self) -> float: ...


class SystemClock:
    """The machine's clocks."""

    def unix_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()
