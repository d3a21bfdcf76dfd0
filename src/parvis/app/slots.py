"""Slots of replicas, shared among gateways: what control does about them each second, and when gateways come and go."""

import asyncio

from parvis.adapters.link.slots import ControlSlots

TICK_S = 1.0
SETTLE_S = 2.0
"""A control that begins waits so long for gateways that served before it did: each tells what it holds."""
AWAY_S_MAX = 60.0
"""A gateway that lost control serves no longer than this, so that nothing is its own after it."""


class SlotSharing:
    """Of the control that acts."""

    def __init__(self, slots: ControlSlots) -> None:
        self._slots = slots
        self._away: dict[str, float] = {}
        self._ticking: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Share from now on."""
        self._slots.settling = True
        self._ticking = asyncio.create_task(self._tick_for_ever())

    async def end(self) -> None:
        """Gateways keep what they have."""
        ticking, self._ticking = self._ticking, None
        if ticking is not None:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)

    def run_ended(self, incarnation: str) -> None:
        """A gateway is dead, and what it wrote is booked: what it held is free."""
        self._slots.book.forget(incarnation)
        self._slots.deal()

    async def _tick_for_ever(self) -> None:
        await asyncio.sleep(SETTLE_S)
        self._slots.settle()
        while True:
            await asyncio.sleep(TICK_S)
            self._forget_those_long_away()
            self._slots.book.tick()
            self._slots.deal()

    def _forget_those_long_away(self) -> None:
        now_s = asyncio.get_running_loop().time()
        self._away = {one: self._away.get(one, now_s) for one in self._slots.book.away}
        for one, since_s in self._away.items():
            if now_s - since_s >= AWAY_S_MAX:
                self._slots.book.forget(one)
