"""Who owns rates and places, at control: the store, or a server of Valkey that the settings name."""

import asyncio
from contextlib import suppress

from parvis.adapters.link.control_side import ControlLink
from parvis.adapters.link.rates import ControlRates
from parvis.core.errors import Failure, Misconfigured
from parvis.core.secret import Secret
from parvis.flows.rate_store import RateStore
from parvis.flows.rating import Rating
from parvis.settings import Settings

KEEP_INTERVAL_S = 15.0
"""Places lapse after two minutes, where they do."""


class Rates:
    """Answers gateways over the link, and says who lives."""

    def __init__(self, settings: Settings, store: RateStore, link: ControlLink) -> None:
        url = settings.valkey_url
        self._apart = _valkey(url) if url else None
        self._rating = Rating(self._apart or store, link.limits_of)
        self._link = link
        self._keeping: asyncio.Task[None] | None = None
        link.rates = ControlRates(self._rating)

    def begin(self) -> None:
        """Of the control that acts."""
        if self._apart is not None:
            self._keeping = asyncio.create_task(self._keep_for_ever())

    async def end(self) -> None:
        """Of a control that rests."""
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def run_ended(self, incarnation: str) -> None:
        """Its places are free. The store has seen to that itself; elsewhere they lapse if nobody can be told."""
        if self._apart is not None:
            with suppress(Failure):
                await self._rating.end(incarnation)

    async def _keep_for_ever(self) -> None:
        while True:
            with suppress(Failure):  # who trades meanwhile learns that the server is away, and says so
                await self._rating.keep(self._link.gateways)
            await asyncio.sleep(KEEP_INTERVAL_S)


def _valkey(url: str) -> RateStore:
    """The adapter needs a client that only some installations have. Raises Misconfigured without it."""
    try:
        from parvis.adapters.limits.valkey import ValkeyRates  # noqa: PLC0415 - its library is an extra
    except ModuleNotFoundError:
        raise Misconfigured("limits.valkey needs the client of Redis: install parvis[valkey].") from None
    return ValkeyRates(Secret(url, "limits.valkey"))
