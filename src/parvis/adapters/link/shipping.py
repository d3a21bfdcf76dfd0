"""Journals of other machines, as they arrive at control. Each run is read like one whose folder lies here.

What is told back (`Taken`) says what the other machine may let go of. Until then it keeps everything, and after a lost
connection it begins again with the oldest that it keeps: the ledger knows each request by its id.
"""

from collections.abc import Callable

from parvis.adapters.link.channel import Channel
from parvis.adapters.link.messages import Shipped, Taken
from parvis.domain.metering.records import Record

Unframe = Callable[[bytes], list[tuple[int, Record]]]
"""Frames -> (sequence, record). Whatever is torn ends the list."""


class ShippedRun:
    """A `RunReader` that is fed by the link."""

    def __init__(self, incarnation: str, tell: Callable[[Taken], None]) -> None:
        self._incarnation = incarnation
        self._tell = tell
        self._fresh: list[tuple[int, Record]] = []
        self._dead = False
        self._read_to = 0
        self._told_to = 0

    @property
    def incarnation(self) -> str:
        return self._incarnation

    def feed(self, records: list[tuple[int, Record]], *, dead: bool) -> None:
        """More of it. Who says dead has sent all."""
        self._fresh += records
        self._dead = self._dead or dead

    def dead(self) -> bool:
        return self._dead

    def read(self) -> list[tuple[int, Record]]:
        fresh, self._fresh = self._fresh, []
        if fresh:
            self._read_to = fresh[-1][0]
        return fresh

    def drop_read_segments(self, before: int | None) -> None:
        booked = self._read_to if before is None else before - 1
        if booked > self._told_to:
            self._told_to = booked
            self._tell(Taken(self._incarnation, booked))

    def remove(self) -> None:
        self._tell(Taken(self._incarnation, self._read_to, removed=True))


class Ships:
    """All runs of other machines."""

    def __init__(self, unframe: Unframe, arrived: Callable[[ShippedRun], None]) -> None:
        self._unframe = unframe
        self._arrived = arrived
        self._runs: dict[tuple[Channel, str], ShippedRun] = {}

    def take(self, channel: Channel, shipped: Shipped) -> None:
        """What a machine sends of one of its runs."""
        place = channel, shipped.incarnation
        if shipped.first:
            self._runs[place] = ShippedRun(shipped.incarnation, lambda told: self._tell(place, told))
            self._arrived(self._runs[place])
        run = self._runs.get(place)
        if run is None:
            channel.close()  # it will come again, and begin with the first
        else:
            run.feed(self._unframe(shipped.frames), dead=shipped.dead)

    def _tell(self, place: tuple[Channel, str], told: Taken) -> None:
        place[0].send(told)
        if told.removed:
            self._runs.pop(place, None)

    def lose(self, channel: Channel) -> None:
        """It comes again, and sends what it keeps."""
        self._runs = {place: run for place, run in self._runs.items() if place[0] is not channel}
