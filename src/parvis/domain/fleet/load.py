"""What an engine says that it is busy with."""

from typing import NamedTuple


class Load(NamedTuple):
    """Of one replica, at one moment, for whomever it works."""

    running: int
    waiting: int
    used: float | None = None
    """The part of its KV memory that is in use, 0 to 1; None where it does not say."""
