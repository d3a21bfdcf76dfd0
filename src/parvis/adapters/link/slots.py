"""Shares of slots over the link: a gateway tells what waits and runs there, control tells what it may use.

A share that shrinks is confirmed by the next `Backlog`: only then is what was let go of somebody else's. The rules are
in `parvis.domain.fleet.shares`.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from parvis.adapters.link.messages import Backlog, Message, PoolBacklog, SlotShares
from parvis.domain.fleet.replica import Replica, ReplicaState
from parvis.domain.fleet.shares import Need, SlotBook, Slots

HURRY_S = 0.1
"""How soon control hears that somebody waits, or that what was too much is done."""


# --------------------------------------------------------------------------------------------- at the gateway


class GatewaySlots:
    """What this gateway may use of each replica, as it was told last. Without control that goes on to hold."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self._number = 0
        self._shares: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.in_flight: Callable[[], Mapping[str, int]] = dict
        """Requests of ours on each replica that has slots; whoever makes us says."""
        self.pools: Callable[[], list[PoolBacklog]] = list
        """The same for what is to be done in each pool."""
        self.on_shares: Callable[[Mapping[str, int]], None] = lambda _: None
        """Told the share of each replica that has one, or had one before."""

    def holds(self) -> dict[str, int]:
        """What control must count on that we use."""
        shares, in_flight = self._shares, self.in_flight()
        return {each: max(shares.get(each, 0), in_flight.get(each, 0)) for each in shares.keys() | in_flight.keys()}

    def received(self, told: SlotShares) -> None:
        """From now on this is our share; who is above it takes nothing more until it is below."""
        before, self._shares, self._number = self._shares, told.slots, told.number
        self.on_shares({each: told.slots.get(each, 0) for each in before.keys() | told.slots.keys()})
        self.tell()

    def again(self) -> None:
        """There is another connection: nothing is told until its control has told us something."""
        self._number = 0

    def tell(self) -> None:
        """How we stand. To be called each second."""
        if not self._number:
            return
        in_flight = dict(self.in_flight())
        self._send(Backlog(self._number, self.pools(), in_flight))
        if any(running > self._shares.get(each, 0) for each, running in in_flight.items()):
            self.hurry()

    def hurry(self) -> None:
        """Somebody waits, or has more than its share: control shall hear of it soon, but not of each one apart."""
        if self._timer is None and self._number:
            self._timer = asyncio.get_running_loop().call_later(HURRY_S, self._hurried)

    def _hurried(self) -> None:
        self._timer = None
        self.tell()


# ------------------------------------------------------------------------------------------------- at control


class ControlSlots:
    """Keeps the book, and tells each gateway what has changed for it."""

    def __init__(self, tell: Callable[[str, Message], None]) -> None:
        self.book = SlotBook()
        self.settling = False
        """This control has just begun: gateways may serve that it does not know yet."""
        self._waiting = False
        self._tell = tell

    def know(self, replicas: Iterable[Replica]) -> None:
        """These are the replicas now; those that take nothing new need no shares."""
        takes = (one for one in replicas if one.state is ReplicaState.READY)
        self.book.know(Slots(one.replica_id, one.engine, one.slots) for one in takes)
        self.deal()

    def joined(self, incarnation: str, holds: Mapping[str, int]) -> None:
        """A gateway is connected. One that holds something was told by another control, and so were others."""
        self._waiting |= self.settling and any(holds.values())
        self.book.join(incarnation, holds)
        self.deal()

    def heard(self, incarnation: str, told: Backlog) -> None:
        """How it stands."""
        needs = {one.pool: Need(one.in_flight, one.waiting, one.tenants) for one in told.pools}
        self.book.hear(incarnation, told.number, needs, told.in_flight)
        self.deal()

    def parted(self, incarnation: str) -> None:
        """Its link is lost."""
        self.book.part(incarnation)

    def settle(self) -> None:
        """By now all gateways that serve are known."""
        self.settling = self._waiting = False
        self.deal()

    def deal(self) -> None:
        """Tell what has to be told; nothing while others may use what seems to be free."""
        for grant in () if self._waiting else self.book.rebalance():
            self._tell(grant.gateway, SlotShares(grant.number, grant.shares))
