"""Shares of slots over the link: a gateway alone has all, two have no more together, and nothing lost loses a slot."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from parvis.adapters.link.control_side import ControlLink, bind_link
from parvis.adapters.link.gateway_side import GatewayLink
from parvis.adapters.link.messages import PoolBacklog
from parvis.app.slots import SlotSharing
from parvis.core.money import ZERO, Money
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.domain.quota.budget import LeaseAnswer

SLOTS = 8
REPLICA = Replica("r1", "pool", EngineKind.VLLM, "http://127.0.0.1:1", ReplicaState.READY, slots=SLOTS)


async def nothing(*_: object) -> LeaseAnswer:
    return LeaseAnswer(Money(0), ZERO)


@asynccontextmanager
async def control(path: Path, replicas: tuple[Replica, ...] = (REPLICA,)) -> AsyncIterator[ControlLink]:
    link = ControlLink(b"pepper", nothing, lambda *_: None, lambda _: None)
    link.publish((), (), replicas)
    sharing = SlotSharing(link.slots)
    sharing.begin()
    await link.start(bind_link(path))
    try:
        yield link
    finally:
        link.close()
        await sharing.end()


class Gateway:
    """A gateway's end, with requests that are only counted."""

    def __init__(self, path: Path, name: str) -> None:
        self.link = GatewayLink(path, name, lambda: 1, lambda _: None)
        self.share: dict[str, int] = {}
        self.running = 0
        self.waiting = 0
        self.link.slots.in_flight = lambda: {"r1": self.running}
        self.link.slots.pools = lambda: [PoolBacklog("pool", self.running, self.waiting, self.waiting, 1)]
        self.link.slots.on_shares = self.share.update

    @property
    def slots(self) -> int:
        return self.share.get("r1", -1)


@asynccontextmanager
async def gateway(path: Path, name: str) -> AsyncIterator[Gateway]:
    one = Gateway(path, name)
    connecting = asyncio.ensure_future(one.link.client.keep_connected())
    try:
        yield one
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        one.link.client.drop()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - the other end of a socket has no event
            await asyncio.sleep(0.01)


async def test_what_one_lets_go_of_another_gets(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with control(path), gateway(path, "gw_1") as first:
        await until(lambda: first.slots == SLOTS)
        first.running = SLOTS
        async with gateway(path, "gw_2") as second:
            await until(lambda: first.slots == SLOTS - 1 and second.slots == 0)
            await asyncio.sleep(0.3)
            assert second.slots == 0, "all are in use"
            first.running = SLOTS - 1
            await until(lambda: second.slots == 1)
            first.running, second.waiting = 1, 20
            for one in (first, second):
                one.link.slots.tell()
            await until(lambda: second.slots == SLOTS - first.slots > 1)


async def test_who_has_ended_leaves_its_slots_and_who_is_away_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with control(path) as link, gateway(path, "gw_1") as first:
        async with gateway(path, "gw_2") as second:
            await until(lambda: first.slots == second.slots == SLOTS // 2)
        await until(lambda: link.slots.book.away == ["gw_2"])
        first.waiting = 20
        first.link.slots.tell()
        await asyncio.sleep(0.2)
        assert first.slots == SLOTS // 2
        SlotSharing(link.slots).run_ended("gw_2")
        await until(lambda: first.slots == SLOTS)


async def test_another_control_learns_what_is_held_before_it_gives(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with gateway(path, "gw_1") as first:
        async with control(path):
            async with gateway(path, "gw_2") as second:
                await until(lambda: first.slots == second.slots == SLOTS // 2)
            await until(lambda: not second.link.client.connected)
        first.waiting = 20
        async with control(path) as another:
            await until(lambda: bool(another.gateways))
            await asyncio.sleep(0.3)
            assert first.slots == SLOTS // 2, "the other one may still come"
            await until(lambda: first.slots == SLOTS)


async def test_a_new_replica_is_shared_before_it_is_known(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with control(path) as link, gateway(path, "gw_1") as first:
        await until(lambda: first.slots == SLOTS)
        link.publish((), (), (REPLICA, Replica("r2", "pool", EngineKind.VLLM, "http://a", ReplicaState.READY, slots=4)))
        await until(lambda: first.share == {"r1": SLOTS, "r2": 4})
        link.publish((), (), ())
        await until(lambda: first.share == {"r1": 0, "r2": 0})
