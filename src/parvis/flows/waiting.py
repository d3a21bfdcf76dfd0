"""Where requests wait for a replica, when all that could take them are busy: one fair queue a pool, one timer in all.

Whoever owns the seats owns the room, and says how a request is placed and how a place is given back:

    room = WaitingRoom(place, release, clock, bounds)
    place(ask)        -> Placement | None: filter, score, pick, count; None: no room. Raises EngineUnavailable: no hope.
    release(placement)   for a request that was given its place and ended before it could use it.

`place` must not look at the room, and neither may call it. The fleet then does three things:

- `place_now(ask)`: where `room.busy(ask.pool)` it answers None, so that nobody overtakes; else `place(ask)`.
- `place(ask, sink)`: `return await room.wait(ask, sink)`. It joins the queue, and is served at once if there is room.
- `room.next(pool)` after whatever can make room: a release, a larger share (`Seat.slots`), a seat that opens, a higher
  pace, a new list of replicas. Cheap where nobody waits. It places as many as find room, in the queue's order; where no
  replica of the pool is left, it tells those that wait.

Nothing of this is on the way of a request that finds room, but for `busy`: one look into a dictionary.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from parvis.core.clock import Clock
from parvis.core.errors import EngineUnavailable, Failure, LimitReached, Unavailable
from parvis.domain.fleet.ask import Ask
from parvis.domain.fleet.fair_queue import Bounds, FairQueue, Full, Ticket
from parvis.domain.fleet.retry_after import Pace, retry_after_s
from parvis.domain.fleet.seat import Placement
from parvis.domain.metering.records import Outcome
from parvis.flows.ports import Sink

WAITS_KEPT_MAX = 10_000

Place = Callable[[Ask], Placement | None]
Release = Callable[[Placement], None]


class Backlog(NamedTuple):
    """What waits for a pool."""

    requests: int
    tokens: int
    tenants: int


NOTHING_WAITS = Backlog(0, 0, 0)


class _Line:
    """The queue of one pool, and how fast it moves."""

    def __init__(self, bounds: Bounds) -> None:
        self.queue = FairQueue(bounds)
        self.pace = Pace()
        self._refused = 0

    def retry_after_s(self, ask: Ask, now_s: float) -> int:
        """In how long what is ahead of such a request will have been served."""
        self._refused += 1
        return retry_after_s(self.pace.estimate_s(self.queue.ahead(ask), now_s), self._refused)


class _Wait:
    """One request that waits; the `Flow` of its receiver meanwhile."""

    def __init__(self, room: "WaitingRoom", ticket: Ticket, answer: "asyncio.Future[Placement]") -> None:
        self.answer = answer
        self._room = room
        self._ticket = ticket

    def pause(self) -> None:
        """Nothing flows yet."""

    def resume(self) -> None:
        """Nothing flows yet."""

    def cancel(self, outcome: Outcome = Outcome.CLIENT_LEFT) -> None:
        if outcome is Outcome.GATEWAY_LOST:
            restarted = "The server is being restarted. Send it again."
            self._room.end(self._ticket, Unavailable(restarted, code="server_draining", retry_after_s=1))
        else:
            self._room.end(self._ticket, EngineUnavailable("The client has left.", code="client_left"))


class WaitingRoom:
    """All that waits at one gateway."""

    def __init__(self, place: Place, release: Release, clock: Clock, bounds: Bounds | None = None) -> None:
        self._place = place
        self._release = release
        self._clock = clock
        self._bounds = bounds or Bounds()
        self._lines: dict[str, _Line] = {}
        self._waits: dict[Ticket, _Wait] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._waited: list[tuple[str, float]] = []
        self.on_wait: Callable[[], None] = lambda: None
        """Called when a request begins to wait: whoever shares slots among gateways may hurry."""

    def renew(self, bounds: Bounds) -> None:
        """From now on these hold, for those that wait too."""
        self._bounds = bounds
        for line in self._lines.values():
            line.queue.bounds = bounds
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._set_timer()

    def busy(self, pool: str) -> bool:
        """Whether somebody waits for this pool: who comes now stands behind them."""
        line = self._lines.get(pool)
        return line is not None and len(line.queue) > 0

    async def wait(self, ask: Ask, sink: Sink | None = None) -> Placement:
        """Wait for a turn. With a sink, it ends when the receiver leaves.

        Raises LimitReached (too much of this tenant waits), Unavailable (too much waits, or it took too long),
        EngineUnavailable (no replica is left, or the receiver has gone).
        """
        line = self._lines.setdefault(ask.pool, _Line(self._bounds))
        now_s = self._clock.monotonic_s()
        if not len(line.queue):
            line.pace.begins(now_s)
        joined = line.queue.join(ask, now_s)
        if isinstance(joined, Full):
            raise _refusal(joined, line.retry_after_s(ask, now_s))
        ticket, displaced = joined
        for other in displaced:
            self._answer(other, _refusal(Full.SHARE, line.retry_after_s(other.ask, now_s)))
        wait = _Wait(self, ticket, asyncio.get_running_loop().create_future())
        self._waits[ticket] = wait
        if sink is not None:
            sink.attach(wait)
        self.next(ask.pool)
        if not wait.answer.done():
            self._set_timer()
            self.on_wait()
        try:
            return await wait.answer
        except asyncio.CancelledError:
            self._give_up(ticket, wait)
            raise

    def next(self, pool: str) -> None:
        """There may be room: place those whose turn it is, as many as find it."""
        line = self._lines.get(pool)
        passed: set[Ticket] = set()
        while line is not None and (ticket := line.queue.turn(passed)) is not None:
            if self._waits[ticket].answer.done():  # its task was cancelled, and has not run since
                line.queue.leave(ticket)
                continue
            try:
                placement = self._place(ticket.ask)
            except Failure as failure:
                self.end(ticket, failure)
                continue
            if placement is not None:
                self._serve(line, ticket, placement)
            elif ticket.ask.tried:
                passed.add(ticket)  # who was refused elsewhere does not hold up those that may go there
            else:
                break

    def next_everywhere(self) -> None:
        """The same for each pool that somebody waits for, those included that have no replicas any more."""
        for pool in [pool for pool, line in self._lines.items() if len(line.queue)]:
            self.next(pool)

    def end(self, ticket: Ticket, failure: Failure) -> None:
        """This one waits no more. Nothing if it does not any more."""
        if ticket in self._waits:
            self._lines[ticket.ask.pool].queue.leave(ticket)
            self._answer(ticket, failure)

    def backlogs(self) -> dict[str, Backlog]:
        """What waits now, for each pool that anybody ever waited for."""
        queues = ((pool, line.queue) for pool, line in self._lines.items())
        return {pool: Backlog(len(queue), queue.tokens, queue.tenants) for pool, queue in queues}

    def take_waits(self) -> list[tuple[str, float]]:
        """(pool, seconds) of those that have had a turn since the last call."""
        waited, self._waited = self._waited, []
        return waited

    def _serve(self, line: _Line, ticket: Ticket, placement: Placement) -> None:
        line.queue.take(ticket)
        now_s = self._clock.monotonic_s()
        line.pace.served(ticket.cost, now_s)
        if len(self._waited) < WAITS_KEPT_MAX:
            self._waited.append((ticket.ask.pool, now_s - ticket.since_s))
        self._waits.pop(ticket).answer.set_result(placement)

    def _answer(self, ticket: Ticket, failure: Failure) -> None:
        answer = self._waits.pop(ticket).answer
        if not answer.done():  # its task may have been cancelled
            answer.set_exception(failure)

    def _give_up(self, ticket: Ticket, wait: _Wait) -> None:
        """Its task was cancelled, perhaps in the moment in which it got its place."""
        if self._waits.pop(ticket, None) is not None:
            self._lines[ticket.ask.pool].queue.leave(ticket)
        elif not wait.answer.cancelled() and wait.answer.exception() is None:
            self._release(wait.answer.result())

    # One timer for all: who came first is late first

    def _set_timer(self) -> None:
        due = [line.queue.due_s for line in self._lines.values()]
        soonest_s = min((due_s for due_s in due if due_s is not None), default=None)
        if self._timer is None and soonest_s is not None:
            delay_s = max(0.0, soonest_s - self._clock.monotonic_s())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now_s = self._clock.monotonic_s()
        for line in self._lines.values():
            for ticket in line.queue.overdue(now_s):
                self._answer(ticket, _too_late(now_s - ticket.since_s, line.retry_after_s(ticket.ask, now_s)))
        self._set_timer()


def _refusal(full: Full, retry_after_s: int) -> Failure:
    if full is Full.SHARE:
        return LimitReached(
            "Too many of your requests wait for this model at once. Wait for answers before you send more, or try "
            f"again in {retry_after_s} s.",
            code="queue_share_full",
            retry_after_s=retry_after_s,
        )
    return Unavailable(
        f"Too many requests wait for this model. Try again in {retry_after_s} s.",
        code="queue_full",
        retry_after_s=retry_after_s,
    )


def _too_late(waited_s: float, retry_after_s: int) -> Unavailable:
    return Unavailable(
        f"This model was too busy to take the request within {waited_s:.0f} s. Try again in {retry_after_s} s.",
        code="queue_timeout",
        retry_after_s=retry_after_s,
    )
