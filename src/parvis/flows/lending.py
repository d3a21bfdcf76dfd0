"""Lending to gateways: each gets a share, and when one falls short, what others do not need is asked back for it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from weakref import WeakValueDictionary

from parvis.core.money import ZERO, Money
from parvis.domain.quota.budget import LeaseAnswer
from parvis.flows.ledger_store import LedgerStore

RECALL_S = 0.1
"""For how long a request waits for what others give back."""

Recall = Callable[[str, str], None]
"""(account, incarnation): ask all gateways but this one for what they do not need of the account."""


class Lender:
    """Control's side of `LeaseSource`. One for all gateways that are connected."""

    def __init__(self, ledger: LedgerStore, gateways: Callable[[], Sequence[str]], recall: Recall) -> None:
        self._ledger = ledger
        self._gateways = gateways
        self._recall = recall
        self._returns: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()

    async def lend(self, account: str, incarnation: str, need: Money, wanted: Money, ask: str) -> LeaseAnswer:
        """A share for one of the gateways; zero when what is needed is neither left nor given back in time.

        Raises Failure when it cannot know.
        """

        async def attempt() -> LeaseAnswer:
            return await self._ledger.lend(account, incarnation, need, wanted, ask, max(1, len(self._gateways())))

        answer = await attempt()
        if answer.granted > ZERO or need == ZERO or not await self._others_hold(account, incarnation):
            return answer
        self._recall(account, incarnation)
        with suppress(TimeoutError):
            async with asyncio.timeout(RECALL_S):
                while answer.granted == ZERO:
                    await self._something_back(account)
                    answer = await asyncio.shield(attempt())
        return answer if answer.granted > ZERO else await attempt()

    async def returned(self, account: str, incarnation: str, amount: Money, ask: str) -> None:
        """A gateway gives back what it does not need. Who waits for it tries again. Raises Failure."""
        await self._ledger.return_part(account, incarnation, amount, ask)
        event = self._returns.pop(account, None)
        if event is not None:
            event.set()

    async def _others_hold(self, account: str, incarnation: str) -> bool:
        others = set(self._gateways()) - {incarnation}
        return bool(others) and not others.isdisjoint(await self._ledger.holders_of(account))

    async def _something_back(self, account: str) -> None:
        """All who wait for an account wait for the same moment."""
        event = self._returns.get(account)
        if event is None:
            event = self._returns[account] = asyncio.Event()
        await event.wait()
