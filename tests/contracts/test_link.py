"""The link between a gateway and control, on a real socket: what is asked while control changes hands is answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from parvis.adapters.link.control_side import ControlLink, bind_link
from parvis.adapters.link.gateway_side import GatewayLink
from parvis.core.money import Money
from parvis.flows.ports import Snapshot

Asked = list[tuple[str, str, Money, str]]


class House:
    """Where one control after another listens, and what each of them was asked."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @asynccontextmanager
    async def control(self) -> AsyncIterator[Asked]:
        asked: Asked = []

        async def grant(tenant: str, run: str, amount: Money, ask: str) -> Money:
            asked.append((tenant, run, amount, ask))
            return amount

        link = ControlLink(b"pepper", grant, lambda *_: None, lambda _: None)
        link.publish((), (), ())
        await link.start(bind_link(self._path))
        try:
            yield asked
        finally:
            link.close()


async def test_a_lease_that_is_asked_for_between_two_controls_is_granted_by_the_second(tmp_path: Path) -> None:
    house, known, lost = House(tmp_path / "control.sock"), asyncio.Event(), asyncio.Event()
    gateway = GatewayLink(tmp_path / "control.sock", "gw_1", lambda: 1, lambda _: known.set())
    gateway.client.on_lost = lost.set
    connecting = asyncio.ensure_future(gateway.client.keep_connected())
    async with house.control() as first:
        await asyncio.wait_for(known.wait(), 5)
    await asyncio.wait_for(lost.wait(), 5)
    lease = asyncio.ensure_future(gateway.lease("t", Money(7)))
    await asyncio.sleep(0.1)
    async with house.control() as second:
        assert await lease == Money(7)
    assert (first, [asked[:3] for asked in second]) == ([], [("t", "gw_1", Money(7))])
    connecting.cancel()
    await asyncio.gather(connecting, return_exceptions=True)


async def test_every_control_tells_all_that_must_be_known(tmp_path: Path) -> None:
    house, told = House(tmp_path / "control.sock"), asyncio.Queue[Snapshot]()
    gateway = GatewayLink(tmp_path / "control.sock", "gw_1", lambda: 1, told.put_nowait)
    connecting = asyncio.ensure_future(gateway.client.keep_connected())
    for _ in range(3):
        async with house.control():
            assert (await asyncio.wait_for(told.get(), 5)).pepper == b"pepper"
    connecting.cancel()
    await asyncio.gather(connecting, return_exceptions=True)
