"""The laws of a fair queue, whatever happens to it: a history is run, and each broken law comes back as a sentence.

    broken_laws([Join("quiet", 10), Join("noisy", 500), TAKE, TAKE])  # []

A history is plain data, so that hypothesis can shrink it and a simulation can draw it from a seed.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import combinations
from random import Random
from typing import NamedTuple

import pytest

from parvis.domain.fleet import fair_queue
from parvis.domain.fleet.ask import Ask
from parvis.domain.fleet.fair_queue import Bounds, FairQueue, Full, Ticket

TOKENS_EACH_MAX = 1_000
ROOM = Bounds(waiting_max=24, per_tenant_max=12, tokens_max=24 * TOKENS_EACH_MAX, wait_s_max=50.0)
"""So small that histories fill it; places are always scarcer than tokens."""


class Join(NamedTuple):
    """A request comes."""

    tenant_id: str
    tokens: int
    priority: int = 0


class Leave(NamedTuple):
    """One of those that wait, counted from the oldest, is cancelled."""

    place: int


class Pass(NamedTuple):
    """Time passes, and who is late is sent away."""

    seconds: int


class Take(NamedTuple):
    """A replica has room for one."""


TAKE = Take()
Act = Join | Leave | Pass | Take


def drawn_history(random: Random, length: int) -> list[Act]:
    """One of a few tenants, with loads that differ."""
    acts: list[Act] = []
    priorities = random.choice(((0, 0, 0, 1, 5), (0, 1, 1, 1, 1), (0, 1, 5, 5, 5, 5, 5)))
    tenants = ["noisy"] * 6 + ["quiet", "other", "fourth"]
    for _ in range(length):
        kind = random.random()
        if kind < 0.55:  # noqa: PLR2004 - more come than can be served, so that rooms fill
            priority = random.choice(priorities)
            acts.append(Join(random.choice(tenants), random.choice((1, 30, TOKENS_EACH_MAX)), priority))
        elif kind < 0.93:  # noqa: PLR2004 - a share of the dice
            acts.append(TAKE)
        elif kind < 0.97:  # noqa: PLR2004 - a share of the dice
            acts.append(Leave(random.randrange(24)))
        else:
            acts.append(Pass(random.randrange(4)))
    return acts


def broken_laws(acts: Iterable[Act], bounds: Bounds = ROOM) -> list[str]:
    """What this history breaks, each law once."""
    court = _Court(bounds)
    for act in acts:
        court.see(act)
    return sorted(court.broken)


class _Court:
    """A queue, all that is known of it from outside, and the laws."""

    def __init__(self, bounds: Bounds) -> None:
        self.broken: set[str] = set()
        self._bounds = bounds
        self._queue = FairQueue(bounds)
        self._waiting: dict[Ticket, None] = {}
        self._now_s = 0.0
        self._lags: dict[tuple[int, str, str], _Lag] = {}
        self._floors: dict[int, _Lag] = {}

    def see(self, act: Act) -> None:
        match act:
            case Join():
                self._join(act)
            case Leave():
                if self._waiting:
                    ticket = list(self._waiting)[act.place % len(self._waiting)]
                    self._queue.leave(ticket)
                    self._queue.leave(ticket)
                    del self._waiting[ticket]
            case Pass():
                self._now_s += act.seconds
                for ticket in self._queue.overdue(self._now_s):
                    del self._waiting[ticket]
                if any(self._now_s - ticket.since_s >= self._bounds.wait_s_max for ticket in self._waiting):
                    self.broken.add("nobody waits longer than one may")
            case Take():
                self._take()
        self._look()

    def _join(self, act: Join) -> None:
        before = Counter(ticket.ask.tenant_id for ticket in self._waiting)
        joined = self._queue.join(Ask("pool", act.tenant_id, act.tokens, priority=act.priority), self._now_s)
        if isinstance(joined, Full):
            if act.tenant_id not in before and len(before) < self._bounds.waiting_max:
                self.broken.add("who has nothing waiting may wait, unless each place has another tenant")
            return
        ticket, displaced = joined
        for other in displaced:
            del self._waiting[other]
            if before[other.ask.tenant_id] < max(before.values()):
                self.broken.add("only who has most waiting makes room")
        self._waiting[ticket] = None

    def _take(self) -> None:
        ticket = self._queue.turn()
        if ticket is None:
            if self._waiting:
                self.broken.add("while somebody waits it is somebody's turn")
            return
        mine = (ticket.ask.tenant_id, ticket.ask.priority)
        earlier = next(one for one in self._waiting if (one.ask.tenant_id, one.ask.priority) == mine)
        if earlier is not ticket:
            self.broken.add("within tenant and priority, first come, first served")
        self._queue.take(ticket)
        self._judge_turn(ticket)
        del self._waiting[ticket]

    def _judge_turn(self, ticket: Ticket) -> None:
        tenant_id, priority = ticket.ask.tenant_id, ticket.ask.priority
        for (rank, one, other), lag in self._lags.items():
            if rank == priority and tenant_id in (one, other):
                lag.add(ticket.cost if tenant_id == one else -ticket.cost)
                if lag.spread > 2 * TOKENS_EACH_MAX:
                    self.broken.add("two tenants that wait are never more than two requests apart")
        for rank, lag in self._floors.items():
            if rank < priority:
                lag.add(ticket.cost)
            elif rank == priority:
                lag.add(-fair_queue_floor() * ticket.cost)
            if lag.worst > 3 * fair_queue_floor() * TOKENS_EACH_MAX:
                self.broken.add("who waits below gets its part of what is served above")

    def _look(self) -> None:
        """After each act."""
        each = Counter(ticket.ask.tenant_id for ticket in self._waiting)
        tokens = sum(ticket.cost for ticket in self._waiting)
        if len(self._queue) != len(self._waiting) or self._queue.tokens != tokens or self._queue.tenants != len(each):
            self.broken.add("the queue knows who waits")
        if len(self._waiting) > self._bounds.waiting_max or tokens > self._bounds.tokens_max:
            self.broken.add("the room has an end")
        if max(each.values(), default=0) > self._bounds.per_tenant_max:
            self.broken.add("nobody has more waiting than one may")
        by_rank: defaultdict[int, set[str]] = defaultdict(set)
        for ticket in self._waiting:
            by_rank[ticket.ask.priority].add(ticket.ask.tenant_id)
        pairs = {(rank, *pair) for rank, tenants in by_rank.items() for pair in combinations(sorted(tenants), 2)}
        self._lags = {pair: self._lags.get(pair, _Lag()) for pair in pairs}
        self._floors = {rank: self._floors.get(rank, _Lag()) for rank in by_rank}


class _Lag:
    """How far one side is ahead of another, since both wait."""

    def __init__(self) -> None:
        self._ahead = self._least = self._most = 0
        self.worst = 0
        """The most that it rose, from any moment to a later one."""

    def add(self, tokens: int) -> None:
        self._ahead += tokens
        self._least = min(self._least, self._ahead)
        self._most = max(self._most, self._ahead)
        self.worst = max(self.worst, self._ahead - self._least)

    @property
    def spread(self) -> int:
        """Between any two moments, in either direction."""
        return self._most - self._least


def fair_queue_floor() -> int:
    """As promised, whatever a bug has made of it."""
    return _FLOOR


_FLOOR = fair_queue.FLOOR


# ------------------------------------------------------------------------------------------------- planted bugs


def plain_fifo(plant: pytest.MonkeyPatch) -> None:
    """Who came first goes first, whoever it is."""
    plant.setattr(FairQueue, "turn", lambda self, _=(): next(iter(self._tickets), None))


def no_bound_for_a_tenant(plant: pytest.MonkeyPatch) -> None:
    """One tenant's backlog may fill the room."""
    plant.setattr(FairQueue, "_beyond_share", lambda *_: False)
    plant.setattr(FairQueue, "_displaced_by", lambda self, _: [] if len(self) < self.bounds.waiting_max else None)


def priority_that_starves(plant: pytest.MonkeyPatch) -> None:
    """As long as somebody waits above, nobody goes below."""
    plant.setattr("parvis.domain.fleet.fair_queue.FLOOR", 1 << 60)


def idling_is_rewarded(plant: pytest.MonkeyPatch) -> None:
    """Who was away goes before all others until it has had as much as they had meanwhile."""

    def join(self: "fair_queue._Class", ticket: Ticket) -> None:
        line = self.lines.setdefault(ticket.ask.tenant_id, fair_queue._Line())  # noqa: SLF001 - it breaks it
        line.tickets[ticket] = None
        self.count += 1

    plant.setattr(fair_queue._Class, "join", join)  # noqa: SLF001 - laws look inside


QUEUE_BUGS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "idling is rewarded": idling_is_rewarded,
    "no bound for a tenant": no_bound_for_a_tenant,
    "plain fifo": plain_fifo,
    "priority that starves": priority_that_starves,
}
