"""What is used of a service and is not counted in tokens; most requests have none of it."""

from typing import NamedTuple

MINUTE_MS = 60_000


class Units(NamedTuple):
    """What is billed of it, in whole numbers that add up over requests."""

    audio_minutes: int = 0
    """Started ones, of each request by itself."""
    documents: int = 0
    images: int = 0


class Quantities(NamedTuple):
    """What one request used, or can use at most."""

    audio_ms: int = 0
    documents: int = 0
    images: int = 0

    @property
    def units(self) -> Units:
        return Units(-(-self.audio_ms // MINUTE_MS), self.documents, self.images)


NO_UNITS = Units()


def units_of(quantities: Quantities | None) -> Units:
    """Of a request that has them, or none."""
    return NO_UNITS if quantities is None else quantities.units
