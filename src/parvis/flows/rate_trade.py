"""How a gateway trades with the owner of its limits: one question at a time, with all that is wanted and unused."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from parvis.core.errors import Unavailable
from parvis.domain.quota.limit import Amounts
from parvis.domain.quota.share import PlaceShare, RateShare
from parvis.domain.quota.slices import Slice, Trade, Unused, Want
from parvis.flows.divided import Divided
from parvis.flows.gate import Ask, Gate
from parvis.flows.limit_texts import refusal

SWEEP_S = 1.0
IDLE_S_MAX = 2.0
"""What was not used for so long goes back."""
AWAY_S_MAX = 60.0
"""How long a gateway goes on without the owner of its limits: as long as it trusts what it knows of keys."""
_NS_PER_S = 1_000_000_000
_AWAY = "Rate limits cannot be checked right now. Try again shortly."
_log = logging.getLogger("parvis.inference")


class RateSource(Protocol):
    """The owner of rates and places, as a gateway sees it."""

    async def trade(self, unused: list[Unused], wants: list[Want]) -> Trade:
        """Give back and take, in this order, once. Raises Unavailable when nobody answers in time."""


class Trader:
    """Asks for those that wait, and gives back what nobody uses."""

    def __init__(self, source: RateSource, now_ns: Callable[[], int]) -> None:
        self._source = source
        self._now_ns = now_ns
        self._waiting: list[Ask] = []
        self._ahead: dict[RateShare, None] = {}
        self._rates_back: dict[RateShare, None] = {}
        self._places_back: dict[PlaceShare, None] = {}
        self._in_use: dict[RateShare | PlaceShare, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._gateways: int = 0
        """That share the limits, ourselves included, as the owner last said; 0: it has never said so."""
        self._divided: Divided | None = None

    @property
    def divided(self) -> bool:
        """Whether the owner is away, so that this gateway goes on with its part."""
        return self._divided is not None

    async def ask(self, gate: Gate, most: Amounts) -> int:
        """Wait for the owner's leave; the instant from which it counts. Raises LimitReached, Unavailable."""
        ask = Ask(gate, most, asyncio.get_running_loop().create_future())
        if self._divided is None:
            self._waiting.append(ask)
            self._begin()
        else:
            self._divide(ask, self._divided)
            self._sweep_later()
        passed = False
        try:
            at_ns = await ask.answer
            passed = True
        finally:
            if not passed and ask.answer.done() and not ask.answer.cancelled() and ask.answer.exception() is None:
                # It was let pass in the moment in which its caller gave up.
                self.put_back(gate, most, Amounts(0, 0, 0), ask.answer.result())
        return at_ns

    def put_back(self, gate: Gate, most: Amounts, used: Amounts, since_ns: int) -> None:
        """A request has ended. What it did not use is there for others of this gateway, or for all if it is scarce."""
        now_ns = self._now_ns()
        for share in gate.rates:
            unused = share.need(most) - share.need(used)
            if unused > 0 and share.put(unused, since_ns, now_ns):
                self._keep_or_return(share)
        for place in gate.places:
            place.running -= 1
            self._keep_or_return_place(place)

    def fetch_ahead(self, share: RateShare) -> None:
        """It is running out, and more is likely to be needed."""
        share.low_ns = 0
        if self._divided is None:
            self._ahead[share] = None
            self._begin()

    # Trading

    def _begin(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._trade_on())

    async def _trade_on(self) -> None:
        """One question after another, while there is something to ask or to give back."""
        try:
            while await self._trade():
                if not (self._waiting or self._ahead or self._rates_back or self._places_back):
                    break
        finally:
            self._task = None

    async def _trade(self) -> bool:
        """Whether the owner answered. While it is away, an empty question is asked too."""
        now_ns = self._now_ns()
        asks, ahead = self._asks(now_ns), list(self._ahead)
        self._ahead.clear()
        places = list(self._places_back)
        unused = self._unused(now_ns)
        wants = [want for ask in asks for want in ask.wants]
        wants += [share.want(0, now_ns) for share in ahead]
        if not (wants or unused or self._divided is not None):
            return True
        try:
            trade = await self._source.trade(unused, wants)
        except Unavailable:
            self._places_back.update(dict.fromkeys(places))
            self._lose_owner(asks)
            return False
        self._find_owner(trade.gateways)
        self._settle(asks, ahead, trade.slices, now_ns)
        return True

    def _asks(self, now_ns: int) -> list[Ask]:
        """Those that wait, less those that have gone, and those that pass by now without a question."""
        waiting, self._waiting = self._waiting, []
        asks = []
        for ask in waiting:
            if ask.answer.done():
                continue
            if ask.gate.take(ask.most, now_ns):
                ask.answer.set_result(now_ns)
            else:
                ask.reserve(now_ns)
                asks.append(ask)
        return asks

    def _unused(self, now_ns: int) -> list[Unused]:
        given_up = [share.give_up(now_ns) for share in self._rates_back]
        unused = [one for one in given_up if one is not None]
        unused += [place.give_up() for place in self._places_back]
        self._rates_back.clear()
        self._places_back.clear()
        return unused

    def _settle(self, asks: list[Ask], ahead: list[RateShare], slices: list[Slice], asked_ns: int) -> None:
        """Hand the answers to who asked."""
        now_ns, start = self._now_ns(), 0
        for ask in asks:
            end = start + len(ask.wants)
            reached = ask.take(slices[start:end], now_ns)
            start = end
            if reached and not ask.answer.done():
                ask.answer.set_exception(refusal(reached))
            elif not ask.answer.done():
                ask.answer.set_result(asked_ns)
            elif not reached:  # the caller gave up
                ask.undo(set(), now_ns)
            self._look_after(ask.gate)
        for share, slice_ in zip(ahead, slices[start:], strict=True):
            share.take(slice_, 0, asked_ns, now_ns)
            self._keep_or_return(share)

    # Shares that are not in use

    def _look_after(self, gate: Gate) -> None:
        for share in gate.rates:
            self._keep_or_return(share)
        for place in gate.places:
            self._keep_or_return_place(place)

    def _keep_or_return(self, share: RateShare) -> None:
        if not share.holds(self._now_ns()):
            return
        if share.scarce:
            self._rates_back[share] = None
            self._begin()
        else:
            self._in_use[share] = None
            self._sweep_later()

    def _keep_or_return_place(self, place: PlaceShare) -> None:
        if place.running >= place.held:
            return
        if place.scarce:
            self._places_back[place] = None
            self._begin()
        else:
            self._in_use[place] = None
            self._sweep_later()

    def _sweep_later(self) -> None:
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        """Rates go back that nobody has asked for lately, and places that were not in use since the last time."""
        self._sweeping = None
        now_ns = self._now_ns()
        in_use, self._in_use = self._in_use, {}
        for share in in_use:
            if isinstance(share, PlaceShare):
                if share.peak < share.held:
                    self._places_back[share] = None
                else:
                    self._in_use[share] = None
                share.peak = share.running
            elif share.holds(now_ns):
                idle = now_ns - share.answered_ns > IDLE_S_MAX * _NS_PER_S
                (self._rates_back if idle else self._in_use)[share] = None
        if self._in_use or self._divided is not None:
            self._sweep_later()
        if self._rates_back or self._places_back or self._divided is not None:
            self._begin()

    # Without the owner

    def _lose_owner(self, asks: list[Ask]) -> None:
        """Those that wait pass by our own part, or not. The owner may have given us places: it is told what we hold."""
        now_ns, waiting = self._now_ns(), self._waiting
        self._waiting = []
        if not self._gateways:  # who does not know of others has no part yet
            for ask in asks:
                ask.undo({share.bucket for share in ask.gate.rates}, now_ns)
                self._places_back.update(dict.fromkeys(ask.gate.places))
            for ask in (*asks, *waiting):
                if not ask.answer.done():
                    ask.answer.set_exception(Unavailable(_AWAY, retry_after_s=2))
            return
        if self._divided is None:
            _log.error("the owner of rate limits does not answer: this gateway goes on with its part of them")
            self._divided = Divided(self._gateways, now_ns)
            self._sweep_later()
        for ask in asks:
            ask.undo({share.bucket for share in ask.gate.rates}, now_ns)
            self._places_back.update(dict.fromkeys(ask.gate.places))
        for ask in (*asks, *waiting):
            self._divide(ask, self._divided)

    def _divide(self, ask: Ask, divided: Divided) -> None:
        now_ns = self._now_ns()
        if ask.answer.done():
            return
        if ask.gate.take(ask.most, now_ns):
            ask.answer.set_result(now_ns)
        elif now_ns - divided.since_ns > AWAY_S_MAX * _NS_PER_S:
            ask.answer.set_exception(Unavailable(_AWAY, retry_after_s=2))
        elif reached := divided.take(ask.gate, ask.most, now_ns):
            ask.answer.set_exception(refusal(reached))
        else:
            ask.answer.set_result(now_ns)

    def _find_owner(self, gateways: int) -> None:
        self._gateways = max(gateways, 1)
        if self._divided is not None:
            _log.warning("the owner of rate limits answers again")
            self._divided = None
