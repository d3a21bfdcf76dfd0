"""One queue of a pool at one gateway: who waits, and whose turn is next. Pure; times come with each call.

Tenants share turns by start-time fair queueing (Goyal, Vin, Cheng 1996): each turn costs its tenant the tokens that it
can be, and the tenant that has had least goes next. A request of a higher priority goes first, but whoever waits below
gets at least one token for each `FLOOR` that are served above. Why so: docs/adr/0016-queue.md.
"""

from bisect import insort
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from parvis.domain.fleet.ask import Ask

FLOOR = 8
"""A priority class that waits gets at least one token for so many that are served above it."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may wait in one queue, and for how long."""

    waiting_max: int = 1024
    per_tenant_max: int = 256
    """Requests of one tenant; of the tokens the same share."""
    tokens_max: int = 64 << 20
    """Of all that wait: a request's bound is never below the bytes of its text, so memory is bounded too."""
    wait_s_max: float = 60.0


class Full(StrEnum):
    """Why a request may not wait."""

    ROOM = "room"
    """Too much waits already, and none has more of it than this tenant would."""
    SHARE = "share"
    """This tenant has as much waiting as one may."""


class Ticket:
    """One request that waits."""

    __slots__ = ("ask", "cost", "number", "since_s")

    def __init__(self, ask: Ask, number: int, since_s: float) -> None:
        self.ask = ask
        self.cost = max(1, ask.tokens)
        self.number = number
        """Grows: of two the smaller came first."""
        self.since_s = since_s


Tickets = OrderedDict[Ticket, None]
"""In order of arrival; any of them can leave at no cost."""


class _Line:
    """What one tenant has waiting in one class."""

    __slots__ = ("tag", "tickets", "tokens")

    def __init__(self) -> None:
        self.tag = 0
        """When its first ticket may start, in tokens of the class's own time."""
        self.tickets: Tickets = OrderedDict()
        self.tokens = 0

    def before(self, tag: int) -> int:
        """Tokens of what may start by then, the last of it taken to be as large as the first."""
        head = next(iter(self.tickets), None)
        return min(self.tokens, tag - self.tag + head.cost) if head is not None and tag >= self.tag else 0


class _Class:
    """All that waits with one priority."""

    __slots__ = ("count", "credit", "lines", "now")

    def __init__(self) -> None:
        self.count = 0
        self.lines: dict[str, _Line] = {}
        self.now = 0
        """The tag of the line that was served last: who comes anew starts here, however long it was idle."""
        self.credit = 0
        """Tokens that were served above while something waited here, less `FLOOR` for each of its own."""

    def join(self, ticket: Ticket) -> None:
        line = self.lines.setdefault(ticket.ask.tenant_id, _Line())
        if not line.tickets:
            line.tag = max(line.tag, self.now)
        line.tickets[ticket] = None
        line.tokens += ticket.cost
        self.count += 1

    def leave(self, ticket: Ticket) -> None:
        line = self.lines[ticket.ask.tenant_id]
        del line.tickets[ticket]
        line.tokens -= ticket.cost
        self.count -= 1

    @property
    def tokens(self) -> int:
        return sum(line.tokens for line in self.lines.values())

    def ahead(self, tenant_id: str) -> int:
        """Tokens that have their turn before what this tenant would ask for now."""
        own = self.lines.get(tenant_id, _IDLE)
        starts = max(self.now, own.tag) + own.tokens
        others = (line.before(starts) for line in self.lines.values() if line is not own)
        return own.tokens + sum(others)

    def first(self, passed: Collection[Ticket]) -> Ticket | None:
        """Of the tenant that has had least; of equals the one that came first. Looks at each tenant once."""
        best: Ticket | None = None
        best_tag = 0
        for line in self.lines.values():
            if best is not None and line.tag > best_tag:
                continue
            head = next((ticket for ticket in line.tickets if ticket not in passed), None)
            if head is None:
                line.tag = max(line.tag, self.now)  # who cannot go now saves up no turns meanwhile
                continue
            if best is None or line.tag < best_tag or head.number < best.number:
                best, best_tag = head, line.tag
        return best

    def charge(self, ticket: Ticket) -> None:
        """Its tenant has had a turn. What an idle one still owed is forgotten once the others had as much."""
        line = self.lines[ticket.ask.tenant_id]
        self.now = max(self.now, line.tag)
        line.tag += ticket.cost
        self.credit = max(0, self.credit - FLOOR * ticket.cost)
        for tenant_id in [one for one, other in self.lines.items() if not other.tickets and other.tag <= self.now]:
            del self.lines[tenant_id]


_IDLE = _Line()


class _Share:
    """What one tenant has waiting, whatever its priority."""

    __slots__ = ("tickets", "tokens")

    def __init__(self) -> None:
        self.tickets: Tickets = OrderedDict()
        self.tokens = 0


class FairQueue:
    """Requests that wait for a pool. A ticket is in it from `join` until `take`, `leave` or `overdue` gives it out."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self._tickets: Tickets = OrderedDict()
        self._tokens = 0
        self._numbers = 0
        self._shares: dict[str, _Share] = {}
        self._classes: dict[int, _Class] = {}
        self._ranks: list[int] = []
        """The priorities of classes in which something waits, negated: the highest first."""

    def __len__(self) -> int:
        return len(self._tickets)

    @property
    def tokens(self) -> int:
        """Of all that wait, at most."""
        return self._tokens

    @property
    def tenants(self) -> int:
        """How many have something waiting."""
        return len(self._shares)

    @property
    def oldest_s(self) -> float | None:
        """When the one came that has waited longest."""
        oldest = next(iter(self._tickets), None)
        return None if oldest is None else oldest.since_s

    @property
    def due_s(self) -> float | None:
        """When that one will have waited as long as one may."""
        oldest_s = self.oldest_s
        return None if oldest_s is None else oldest_s + self.bounds.wait_s_max

    def join(self, ask: Ask, now_s: float) -> tuple[Ticket, list[Ticket]] | Full:
        """Wait from now on, perhaps in the place of the newest of who has most waiting: these have left. Or why not.

        Whoever has less waiting than an even share of the room always gets in.
        """
        self._numbers += 1
        ticket = Ticket(ask, self._numbers, now_s)
        share = self._shares.get(ask.tenant_id)
        if share is not None and self._beyond_share(share, ticket):
            return Full.SHARE
        displaced = self._displaced_by(ticket)
        if displaced is None:
            return Full.ROOM
        for other in displaced:
            self.leave(other)
        self._add(ticket)
        return ticket, displaced

    def turn(self, passed: Collection[Ticket] = ()) -> Ticket | None:
        """Whose turn is next of those that were not passed over. Nothing changes."""
        top: Ticket | None = None
        for rank in self._ranks:
            waiting = self._classes[-rank]
            ticket = waiting.first(passed)
            if ticket is None:
                continue
            if top is None:
                top = ticket
            elif waiting.credit >= FLOOR * ticket.cost:
                return ticket
        return top

    def ahead(self, ask: Ask) -> int:
        """Tokens that would be served before this request if it came now, and nobody after it. Looks at each tenant."""
        own = self._classes.get(ask.priority)
        same = own.ahead(ask.tenant_id) if own else 0
        above = sum(one.tokens for rank, one in self._classes.items() if rank > ask.priority)
        above = min(above, FLOOR * (same + max(1, ask.tokens)))
        below = sum(one.tokens for rank, one in self._classes.items() if rank < ask.priority)
        return same + above + min(below, (same + above) // FLOOR)

    def take(self, ticket: Ticket) -> None:
        """It has its turn: its tenant is charged, and those below come a little nearer to theirs."""
        priority = ticket.ask.priority
        self._classes[priority].charge(ticket)
        for rank in self._ranks:
            if -rank < priority:
                self._classes[-rank].credit += ticket.cost
        self.leave(ticket)

    def leave(self, ticket: Ticket) -> None:
        """It waits no more and was not served: as if it had never come. Nothing if it has left before."""
        if ticket not in self._tickets:
            return
        tenant_id, priority = ticket.ask.tenant_id, ticket.ask.priority
        del self._tickets[ticket]
        self._tokens -= ticket.cost
        share = self._shares[tenant_id]
        del share.tickets[ticket]
        share.tokens -= ticket.cost
        if not share.tickets:
            del self._shares[tenant_id]
        waiting = self._classes[priority]
        waiting.leave(ticket)
        if not waiting.count:
            del self._classes[priority]
            self._ranks.remove(-priority)

    def overdue(self, now_s: float) -> list[Ticket]:
        """Those that have waited too long. They have left."""
        late = []
        for ticket in self._tickets:
            if now_s < ticket.since_s + self.bounds.wait_s_max:
                break
            late.append(ticket)
        for ticket in late:
            self.leave(ticket)
        return late

    def _add(self, ticket: Ticket) -> None:
        tenant_id, priority = ticket.ask.tenant_id, ticket.ask.priority
        self._tickets[ticket] = None
        self._tokens += ticket.cost
        share = self._shares.setdefault(tenant_id, _Share())
        share.tickets[ticket] = None
        share.tokens += ticket.cost
        if priority not in self._classes:
            self._classes[priority] = _Class()
            insort(self._ranks, -priority)
        self._classes[priority].join(ticket)

    # How much may wait

    def _beyond_share(self, share: _Share, ticket: Ticket) -> bool:
        bounds = self.bounds
        tokens_max = bounds.tokens_max * bounds.per_tenant_max // bounds.waiting_max
        return len(share.tickets) >= bounds.per_tenant_max or share.tokens + ticket.cost > tokens_max

    def _fits(self, requests: int, tokens: int) -> bool:
        """One that is alone always does, however large."""
        return requests <= self.bounds.waiting_max and (tokens <= self.bounds.tokens_max or requests == 1)

    def _displaced_by(self, ticket: Ticket) -> list[Ticket] | None:
        """Who must leave so that it fits; None if it must not.

        Only the newest of the tenant with the largest backlog, and only down to what the newcomer's tenant would have.
        """
        requests, tokens = len(self._tickets) + 1, self._tokens + ticket.cost
        if self._fits(requests, tokens):
            return []
        own = self._shares.get(ticket.ask.tenant_id, _NOTHING)
        wanted = self._size(len(own.tickets) + 1, own.tokens + ticket.cost)
        largest = max(self._shares.values(), key=lambda share: self._size(len(share.tickets), share.tokens))
        left, left_tokens = len(largest.tickets), largest.tokens
        displaced: list[Ticket] = []
        for newest in reversed(largest.tickets):
            left, left_tokens = left - 1, left_tokens - newest.cost
            if self._size(left, left_tokens) < wanted:
                return None
            displaced.append(newest)
            requests, tokens = requests - 1, tokens - newest.cost
            if self._fits(requests, tokens):
                return displaced
        return None

    def _size(self, requests: int, tokens: int) -> int:
        """How much of the room it is: of places or of tokens, whichever is more."""
        return max(requests * self.bounds.tokens_max, tokens * self.bounds.waiting_max)


_NOTHING = _Share()
