"""A replica as one gateway sees it now. Whoever owns it keeps it true; routing reads it."""

from zlib import crc32

from parvis.domain.fleet.ask import Ask
from parvis.domain.fleet.replica import Replica, ReplicaState

NO_SLOTS = -1
ROOM_UNKNOWN = 8
"""Requests side by side, for each unit of weight, at which a replica counts as full whose slots nobody said."""


class Seat:
    """What routing knows of one replica. A plain class: read for each candidate of each request."""

    __slots__ = (
        "elsewhere",
        "first_byte_ms",
        "in_flight",
        "key",
        "merit",
        "most",
        "number",
        "open",
        "pace",
        "probing",
        "read",
        "replica",
        "room",
        "said",
        "slots",
        "takes_new",
        "why",
    )

    def __init__(self, replica: Replica) -> None:
        self.seat(replica)
        self.merit = 0.0
        """What its weight and cost come to beside its pool. See `routing.compare`."""
        self.number = 0
        """Its name in the `PrefixIndex`; with another one, what it had is forgotten. 0: it has read nothing."""
        self.read = 0
        """Blocks of prompts that were new to it, of late: how full its cache is, beside the others'."""
        self.in_flight = 0
        """Requests of this gateway on it."""
        self.most = 0
        """The most that these were since it last told its load, a part of which they are."""
        self.elsewhere = 0
        """Those of others, running and waiting, as it told control lately."""
        self.slots = replica.slots
        """Our share of what it takes side by side; 0: without bound; `NO_SLOTS`: none of it is ours now."""
        self.open = True
        """It may be picked: healthy as far as we know, and its breaker is closed. See `flows.standing`."""
        self.probing = False
        """Its breaker is half open: one request may try it."""
        self.pace = 1.0
        """Between 0 and 1: how much of its share it takes while it comes back (slow start)."""
        self.first_byte_ms = 0.0
        """Lately, on average; 0 while nobody knows."""
        self.why = ""
        """Why it is not open, for people."""
        self.said = ""
        """Why it did not take the last request that it did not take, for people."""

    def seat(self, replica: Replica) -> None:
        """It is this one now, or this is said of it now. What is read again and again is kept beside it."""
        self.replica = replica
        self.key = (
            crc32(replica.replica_id.encode()) >> 2
        )  # so that products with it stay small integers where compiled
        self.takes_new = replica.state is ReplicaState.READY
        self.room = float(replica.slots or ROOM_UNKNOWN * max(1, replica.weight))


class Placement:
    """One request on one replica, from when it was picked until it is released."""

    __slots__ = ("ask", "heard", "placed_s", "replica", "seat")

    def __init__(self, ask: Ask, seat: Seat, placed_s: float) -> None:
        self.ask = ask
        self.seat = seat
        self.replica = seat.replica
        self.placed_s = placed_s
        """On the monotonic clock of its gateway."""
        self.heard = False
        """The replica has begun to answer."""
