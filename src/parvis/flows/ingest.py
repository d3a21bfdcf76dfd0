"""Carrying the gateways' journals into the ledger, each request exactly once, and closing what the dead left open."""

from collections.abc import Callable, Sequence
from typing import Protocol

from parvis.domain.metering.records import Record, UsageRecord
from parvis.domain.metering.replay import Replay
from parvis.flows.ledger_store import LedgerStore

BATCH_MAX = 2_000
"""Requests booked in one transaction."""


Booked = Callable[[Sequence[UsageRecord]], None]
"""Told of every request that was booked; for statistics."""


class RunReader(Protocol):
    """The journal of one gateway run, as control reads it."""

    @property
    def incarnation(self) -> str: ...

    def dead(self) -> bool:
        """Whether nothing will be written any more."""

    def read(self) -> list[tuple[int, Record]]:
        """(sequence, record) of all that is new."""

    def drop_read_segments(self, before: int | None) -> None:
        """Let go of segments in which all was read and comes before this sequence; None: all that was read."""

    def remove(self) -> None:
        """The run is dead and booked."""


class Ingest:
    """One run's way into the ledger. Called again and again; each call books what has become final.

    If booking fails, what was read is kept and booked by a later call: the ledger knows requests by their id.
    """

    def __init__(self, reader: RunReader, ledger: LedgerStore, booked: Booked = lambda _: None) -> None:
        self._reader = reader
        self._ledger = ledger
        self._booked = booked
        self._replay = Replay()
        self._final: list[UsageRecord] = []
        self._position = 0
        self._dead = False

    @property
    def open_count(self) -> int:
        """Requests that have started and are not booked."""
        return self._replay.open_count + len(self._final)

    async def step(self) -> bool:
        """Book what is new. True when the run is dead, booked to its end, and its lease returned."""
        dead = self._dead or self._reader.dead()  # asked before reading: what a live run wrote is never cut off
        for sequence, record in self._reader.read():
            self._position = sequence
            self._final += self._replay.feed(record, sequence)
        if dead and not self._dead:
            self._dead = True
            self._final += self._replay.end()
        await self._book()
        if not self._dead:
            self._reader.drop_read_segments(self._replay.oldest_open)
            return False
        await self._ledger.return_lease(self._reader.incarnation)
        self._reader.remove()
        return True

    async def _book(self) -> None:
        while self._final:
            batch = self._final[:BATCH_MAX]
            await self._ledger.ingest(self._reader.incarnation, self._position, batch)
            del self._final[: len(batch)]
            self._booked(batch)
