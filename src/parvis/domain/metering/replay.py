"""Reading a journal back: from records to bookings, each request once.

A stream is booked when it settles, since all it delivered had left before. A whole answer is booked when it was
handed over (`Closed`): a gateway that dies between the two has settled something that perhaps nobody received, and
that is written off, never billed.
"""

from parvis.core.tokens import NO_TOKENS
from parvis.domain.metering.records import Closed, Marked, Outcome, Record, Settled, Started, UsageRecord


class Replay:
    """The requests of one gateway run that are still open. Feed records in order; ask for the rest at its death."""

    def __init__(self) -> None:
        self._started: dict[str, Started] = {}
        self._since: dict[str, int] = {}
        self._marked: dict[str, Marked] = {}
        self._settled: dict[str, Settled] = {}

    @property
    def open_count(self) -> int:
        return len(self._started)

    @property
    def oldest_open(self) -> int | None:
        """The sequence of the first word of the oldest request that is open; None when none is."""
        return next(iter(self._since.values()), None)

    def feed(self, record: Record, sequence: int = 0) -> list[UsageRecord]:
        """Take one record; give what became final by it. What is said of one that never began here is passed over."""
        match record:
            case Started():
                self._started[record.request_id] = record
                self._since.setdefault(record.request_id, sequence)
            case Marked() if record.request_id in self._started:
                self._marked[record.request_id] = record
            case Settled() if record.request_id in self._started:
                self._settled[record.request_id] = record
                if self._started[record.request_id].streamed or record.billed_pico_euro == 0:
                    return self._final([record.request_id])
            case Closed():
                for request_id in record.undelivered:
                    self._write_off(request_id)
                return self._final([*record.request_ids, *record.undelivered])
        return []

    def end(self) -> list[UsageRecord]:
        """The gateway is dead and its journal read to the end: close what it left open, by name."""
        for request_id in self._started:
            if request_id in self._settled:
                self._write_off(request_id)
            else:
                self._settled[request_id] = self._lost(request_id)
        return self._final(list(self._started))

    def _final(self, request_ids: list[str]) -> list[UsageRecord]:
        final = []
        for request_id in request_ids:
            started = self._started.pop(request_id, None)
            self._since.pop(request_id, None)
            settled = self._settled.pop(request_id, None)
            self._marked.pop(request_id, None)
            if started and settled:
                final.append(UsageRecord(started, settled))
        return final

    def _write_off(self, request_id: str) -> None:
        settled = self._settled.get(request_id)
        if settled is not None:
            due = settled.billed_pico_euro + settled.written_off_pico_euro
            self._settled[request_id] = settled._replace(
                outcome=Outcome.IN_DOUBT, billed_pico_euro=0, written_off_pico_euro=due
            )

    def _lost(self, request_id: str) -> Settled:
        mark = self._marked.get(request_id) or Marked(request_id, NO_TOKENS, 0)
        billed = min(mark.due_pico_euro, self._started[request_id].held_pico_euro)
        return Settled(
            request_id,
            Outcome.GATEWAY_LOST,
            mark.tokens,
            billed_pico_euro=billed,
            written_off_pico_euro=mark.due_pico_euro - billed,
            quantities=mark.quantities,
        )
