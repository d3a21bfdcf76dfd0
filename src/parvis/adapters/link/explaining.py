"""How a request was routed, asked over the link: control asks every gateway, and waits a moment for all of them."""

import asyncio
import itertools
from collections.abc import Callable, Mapping

from parvis.adapters.link.channel import Channel
from parvis.adapters.link.messages import ExplainGiven, ExplainWanted
from parvis.domain.fleet.explained import Explained
from parvis.domain.fleet.hearing import Hearing, Supposed, Told

ANSWER_S_MAX = 2.0


class _Asked:
    """A question under way: who has not answered, and what the others said."""

    def __init__(self, gateways: set[str]) -> None:
        self.missing = gateways
        self.told: list[Told] = []
        self.done = asyncio.Event()

    def heard(self, gateway: str, explained: Explained | None) -> None:
        self.missing.discard(gateway)
        if explained is not None:
            self.told.append(Told(gateway, explained))
        if not self.missing:
            self.done.set()


class LinkWitnesses:
    """`Witnesses` over the link; `lines` gives the channel of each gateway that is connected."""

    def __init__(self, lines: Callable[[], Mapping[str, Channel]]) -> None:
        self._lines = lines
        self._asked: dict[str, _Asked] = {}
        self._numbers = itertools.count(1)

    async def of_request(self, request_id: str) -> Hearing:
        """See the port."""
        return await self._ask(lambda ask: ExplainWanted(ask, request_id))

    async def of_supposed(self, supposed: Supposed) -> Hearing:
        """See the port."""
        told = supposed.pool, supposed.tenant_id, supposed.tokens, supposed.texts
        return await self._ask(lambda ask: ExplainWanted(ask, "", *told))

    def received(self, gateway: str, given: ExplainGiven) -> None:
        """A gateway answers; an answer for which nobody waits any more is forgotten."""
        if (asked := self._asked.get(given.ask)) is not None:
            asked.heard(gateway, given.explained)

    def gone(self, gateway: str) -> None:
        """It will not answer."""
        for asked in self._asked.values():
            if gateway in asked.missing:
                asked.heard(gateway, None)

    async def _ask(self, wanted: Callable[[str], ExplainWanted]) -> Hearing:
        lines, ask = self._lines(), str(next(self._numbers))
        if not lines:
            return Hearing(0, 0, ())
        asked = self._asked[ask] = _Asked(set(lines))
        try:
            for channel in lines.values():
                channel.send(wanted(ask))
            async with asyncio.timeout(ANSWER_S_MAX):
                await asked.done.wait()
        except TimeoutError:
            pass
        finally:
            del self._asked[ask]
        return Hearing(len(lines), len(asked.missing), tuple(asked.told))
