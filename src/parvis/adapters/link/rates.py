"""Rates and places over the link: how a gateway trades with their owner, and how control answers.

One trade at a time is under way. It is asked again on each new connection, by its number, until there is an answer; so
nothing is given or taken twice, and nothing is lost, whatever becomes of a link or of a control.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from parvis.adapters.link.messages import Message, RatesGranted, RatesWanted
from parvis.core.errors import Failure, Unavailable
from parvis.domain.quota.slices import Slice, Trade, Unused, Want

TRADE_S_MAX = 2.0
"""Without an answer for so long, the owner of rates is away."""


class RateOwner(Protocol):
    """Who trades, at control (`parvis.flows.rating`)."""

    async def trade(
        self, incarnation: str, number: int, unused: Sequence[Unused], wants: Sequence[Want]
    ) -> list[Slice]:
        """Once for each number of a run. Raises Failure when it cannot know."""


class GatewayRates:
    """`RateSource` over the link."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self._number = 0
        self._asked: RatesWanted | None = None
        self._answer: asyncio.Future[RatesGranted] | None = None

    async def trade(self, unused: list[Unused], wants: list[Want]) -> Trade:
        """See the port. While an older trade has no answer, the owner is away."""
        if self._asked is not None:
            raise _away()
        self._number += 1
        self._asked = RatesWanted(self._number, unused, wants)
        self._answer = asyncio.get_running_loop().create_future()
        self._send(self._asked)
        try:
            async with asyncio.timeout(TRADE_S_MAX):
                granted = await self._answer
        except TimeoutError:
            raise _away() from None
        finally:
            self._answer = None
        if granted.failed or len(granted.slices) != len(wants):
            raise _away()
        return Trade(granted.slices, granted.gateways)

    def received(self, granted: RatesGranted) -> None:
        """Control has answered.

        An answer for which nobody waits any more is forgotten: rates come back by themselves, and of places control is
        told again.
        """
        if self._asked is None or granted.number != self._asked.number:
            return
        self._asked = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(granted)

    def again(self) -> None:
        """There is another connection."""
        if self._asked is not None:
            self._send(self._asked)


class ControlRates:
    """Answers gateways."""

    def __init__(self, owner: RateOwner) -> None:
        self._owner = owner

    async def answer(self, incarnation: str, wanted: RatesWanted, gateways: int) -> RatesGranted:
        """What this run gets."""
        try:
            slices = await self._owner.trade(incarnation, wanted.number, wanted.unused, wanted.wants)
        except Failure:
            return RatesGranted(wanted.number, [], gateways, failed=True)
        return RatesGranted(wanted.number, slices, gateways)


def _away() -> Unavailable:
    return Unavailable("Rate limits cannot be checked right now. Try again shortly.", retry_after_s=2)
