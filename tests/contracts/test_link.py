"""The link between a gateway and control, on a real socket: what is asked while control changes hands is answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from parvis.adapters.link import gateway_side
from parvis.adapters.link.control_side import ControlLink, bind_link
from parvis.adapters.link.gateway_side import GatewayLink
from parvis.adapters.link.messages import Counted
from parvis.core.errors import Unavailable
from parvis.core.money import ZERO, Money
from parvis.domain.quota.budget import LeaseAnswer
from parvis.domain.quota.limit import NO_LIMITS, Limits
from parvis.flows.ports import Snapshot

Asked = list[tuple[str, str, Money, Money, str]]


class House:
    """Where one control after another listens, and what each of them was asked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.link: ControlLink
        self.limits: dict[str, Limits] = {}
        self.late_s = 0.0
        self.returned = asyncio.Queue[tuple[str, str, Money]]()

    @asynccontextmanager
    async def control(self) -> AsyncIterator[Asked]:
        asked: Asked = []

        async def grant(account: str, run: str, need: Money, wanted: Money, ask: str) -> LeaseAnswer:
            asked.append((account, run, need, wanted, ask))
            await asyncio.sleep(self.late_s)
            return LeaseAnswer(wanted, ZERO)

        async def returned(account: str, run: str, amount: Money, _: str) -> None:
            self.returned.put_nowait((account, run, amount))

        self.link = link = ControlLink(b"pepper", grant, lambda *_: None, lambda _: None)
        link.returned = returned
        link.publish((), (), ())
        await link.change(limits=self.limits)
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
    lease = asyncio.ensure_future(gateway.lease("t", Money(5), Money(7)))
    await asyncio.sleep(0.1)
    async with house.control() as second:
        assert await lease == LeaseAnswer(Money(7), ZERO)
    assert (first, [asked[:4] for asked in second]) == ([], [("t", "gw_1", Money(5), Money(7))])
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


@asynccontextmanager
async def connected(path: Path, name: str = "gw_1") -> AsyncIterator[tuple[GatewayLink, "asyncio.Queue[Snapshot]"]]:
    """A gateway, and what it was told."""
    told = asyncio.Queue[Snapshot]()
    gateway = GatewayLink(path, name, lambda: 1, told.put_nowait)
    connecting = asyncio.ensure_future(gateway.client.keep_connected())
    try:
        yield gateway, told
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        await gateway.client.hang_up()


async def test_limits_are_told_changed_and_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    house, one, other = House(path), Limits(monthly=Money(7)), Limits(concurrent_max=2)
    house.limits = {"key:a": one, "key:b": one}
    async with connected(path) as (gateway, told):
        changed = asyncio.Queue[object]()
        gateway._changed = changed.put_nowait
        async with house.control():
            known = (await asyncio.wait_for(told.get(), 5)).limits
            assert (known.get("key:a"), known.get("key:b"), known.get("key:c")) == (one, one, None)
            while not changed.empty():
                changed.get_nowait()
            await house.link.change(limits={"key:a": other, "key:b": NO_LIMITS})
            assert await asyncio.wait_for(changed.get(), 5) is None
            assert await asyncio.wait_for(changed.get(), 5) is None
            assert (known.get("key:a"), known.get("key:b")) == (other, None)
        house.limits = {"key:c": one}  # another control, which knows no more of the others
        async with house.control():
            known = (await asyncio.wait_for(told.get(), 5)).limits
            assert (known.get("key:a"), known.get("key:c")) == (None, one)


async def test_what_is_given_back_arrives_and_what_others_need_is_recalled_from_all_but_them(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    house, recalled = House(path), asyncio.Queue[tuple[str, str]]()
    async with house.control(), connected(path, "gw_1") as (one, told), connected(path, "gw_2") as (two, told_too):
        for known in (told, told_too):
            await asyncio.wait_for(known.get(), 5)
        one.on_recall = lambda account: recalled.put_nowait(("gw_1", account))
        two.on_recall = lambda account: recalled.put_nowait(("gw_2", account))
        house.link.recall("tenant:t", "gw_1")
        assert await asyncio.wait_for(recalled.get(), 5) == ("gw_2", "tenant:t")
        two.give_back("tenant:t", Money(9))
        assert await asyncio.wait_for(house.returned.get(), 5) == ("tenant:t", "gw_2", Money(9))
        assert recalled.empty()


async def test_a_lease_that_comes_too_late_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_side, "LEASE_S_MAX", 0.05)
    path = tmp_path / "control.sock"
    house = House(path)
    house.late_s = 0.2
    async with house.control(), connected(path) as (gateway, told):
        await asyncio.wait_for(told.get(), 5)
        with pytest.raises(Unavailable):
            await gateway.lease("tenant:t", Money(5), Money(7))
        assert await asyncio.wait_for(house.returned.get(), 5) == ("tenant:t", "gw_1", Money(7))


async def test_a_control_that_says_nothing_is_hung_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_side, "SILENCE_S_MAX", 0.2)
    house, known, lost = House(tmp_path / "control.sock"), asyncio.Event(), asyncio.Event()
    gateway = GatewayLink(tmp_path / "control.sock", "gw_1", lambda: 1, lambda _: known.set())
    gateway.client.on_lost = lost.set
    connecting = asyncio.ensure_future(gateway.client.keep_connected())
    async with house.control():
        await asyncio.wait_for(known.wait(), 5)
        for _ in range(5):  # it answers, and stays
            gateway.client.send(Counted([], []))
            await asyncio.sleep(0.1)
            gateway.client.drop_if_silent()
        assert not lost.is_set()
        await asyncio.sleep(0.3)
        gateway.client.drop_if_silent()
        await asyncio.wait_for(lost.wait(), 5)
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        await gateway.client.hang_up()
