"""Rates over the link: each trade happens once, whatever becomes of the connection or of control."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from parvis.adapters.link import rates
from parvis.adapters.link.control_side import ControlLink, bind_link
from parvis.adapters.link.gateway_side import GatewayLink
from parvis.adapters.link.rates import ControlRates
from parvis.core.errors import Unavailable
from parvis.core.money import ZERO, Money
from parvis.domain.quota.budget import LeaseAnswer
from parvis.domain.quota.slices import Slice, Trade, Unused, Want

WANT, UNUSED = Want("key:k|requests|minute", 1, 3), Unused("key:k|requests|minute", 5, 1_700_000_000_000_001, 7)


class Owner:
    """Answers at once, or not."""

    def __init__(self) -> None:
        self.trades: list[tuple[str, int, list[Unused], list[Want]]] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self.fails = False

    async def trade(
        self, incarnation: str, number: int, unused: Sequence[Unused], wants: Sequence[Want]
    ) -> list[Slice]:
        self.trades.append((incarnation, number, list(unused), list(wants)))
        await self.answers.wait()
        if self.fails:
            raise Unavailable("The store is away.")
        return [Slice(want.up_to, number, 1, 2, 1_700_000_000_000_002) for want in wants]


async def nothing(*_: object) -> LeaseAnswer:
    return LeaseAnswer(Money(0), ZERO)


@asynccontextmanager
async def control(path: Path, owner: Owner) -> AsyncIterator[None]:
    link = ControlLink(b"pepper", nothing, lambda *_: None, lambda _: None)
    link.rates = ControlRates(owner)
    await link.start(bind_link(path))
    try:
        yield
    finally:
        link.close()


@asynccontextmanager
async def gateway(path: Path) -> AsyncIterator[GatewayLink]:
    link, found = GatewayLink(path, "gw_1", lambda: 1, lambda _: None), asyncio.Event()
    connecting = asyncio.ensure_future(link.client.keep_connected())
    begin = link.client.on_found

    def connected() -> None:
        begin()
        found.set()

    link.client.on_found = connected
    await asyncio.wait_for(found.wait(), 5)
    try:
        yield link
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)


async def test_what_is_given_back_and_wanted_arrives_whole_and_numbered(tmp_path: Path) -> None:
    owner, path = Owner(), tmp_path / "control.sock"
    async with control(path, owner), gateway(path) as link:
        answer = await link.rates.trade([UNUSED], [WANT])
        assert await link.rates.trade([], []) == Trade([], 1)
    assert answer == Trade([Slice(3, 1, 1, 2, 1_700_000_000_000_002)], 1)
    assert owner.trades == [("gw_1", 1, [UNUSED], [WANT]), ("gw_1", 2, [], [])]


async def test_a_trade_between_two_controls_is_asked_of_the_second_by_the_same_number(tmp_path: Path) -> None:
    first, second, path = Owner(), Owner(), tmp_path / "control.sock"
    first.answers.clear()
    async with AsyncExitStack() as stack:
        async with control(path, first):
            link = await stack.enter_async_context(gateway(path))
            trading = asyncio.ensure_future(link.rates.trade([UNUSED], [WANT]))
            await asyncio.sleep(0.1)
        async with control(path, second):
            assert (await asyncio.wait_for(trading, 5)).slices[0].granted == 3
    assert first.trades == second.trades == [("gw_1", 1, [UNUSED], [WANT])]


async def test_while_a_trade_has_no_answer_the_owner_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "TRADE_S_MAX", 0.05)
    owner, path = Owner(), tmp_path / "control.sock"
    owner.answers.clear()
    async with control(path, owner), gateway(path) as link:
        for _ in range(2):
            with pytest.raises(Unavailable):
                await link.rates.trade([], [WANT])
        owner.answers.set()
        await asyncio.sleep(0.1)
        assert (await link.rates.trade([], [WANT])).slices[0].remaining == 2  # it was the second to be asked
        owner.fails = True
        with pytest.raises(Unavailable):
            await link.rates.trade([], [WANT])
    assert [number for _, number, _, _ in owner.trades] == [1, 2, 3]
