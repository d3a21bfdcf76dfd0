"""What the books need because time has passed: unspent credit expires, and everything is checked again."""

import logging
from collections.abc import Callable, Collection

from parvis.core.clock import Clock
from parvis.core.errors import Conflict
from parvis.core.money import Money
from parvis.flows.ledger_store import LedgerStore

EXPIRY_AFTER_MS = 60_000
"""Credit expires so long after its time, when what was spent in time is booked."""
WHOLE_EVERY_MS = 86_400_000
"""Everything is added up again once a day; in between, what is new, and all balances."""
DIFFERENCES_GAUGE = "parvis_books_differences"
_SAID_MAX = 20
_log = logging.getLogger("parvis.control")


class Bookkeeper:
    """The ticker's tasks about money. Nothing is kept between two rounds but what was said already."""

    def __init__(self, ledger: LedgerStore, clock: Clock, gauge: Callable[[str, int], None]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._gauge = gauge
        self._said: frozenset[str] = frozenset()

    async def expire(self) -> None:
        """Orders whose time is over, and asks that nobody sends again."""
        await self._ledger.expire_orders(self._clock.unix_ms() - EXPIRY_AFTER_MS)
        await self._ledger.forget_asks()

    async def check(self) -> None:
        """Whether the books add up. Each difference is logged once, and all of them are counted for the operator."""
        found = (await self._ledger.check_new(WHOLE_EVERY_MS)).differences
        self._gauge(DIFFERENCES_GAUGE, len(found))
        for sentence in [one for one in found if one not in self._said][:_SAID_MAX]:
            _log.error("the books do not add up", extra={"kind": "books", "reason": sentence})
        self._said = frozenset(found)


async def declare_lost(
    ledger: LedgerStore, at_hand: Collection[str], incarnation: str, note: str, *, dry: bool
) -> dict[str, Money]:
    """What comes back of a run whose journal nobody can read any more. Dry: what would come back.

    Raises Conflict for one whose journal can be read here: it ends by itself, with what it spent. Otherwise as
    `LedgerStore.declare_lost` does.
    """
    if incarnation in at_hand:
        raise Conflict(
            f"The journal of run '{incarnation}' is at hand: it is booked when its gateway has ended. Nothing is lost."
        )
    if dry:
        return await ledger.held_by(incarnation)
    return await ledger.declare_lost(incarnation, note)
