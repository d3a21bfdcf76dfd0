"""Claims over a real link and a real store: nothing is lost with a connection, a control, or a client that leaves."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from parvis.adapters.link import claims as link_claims
from parvis.adapters.link.claims import ControlClaims
from parvis.adapters.link.control_side import ControlLink, bind_link
from parvis.adapters.link.gateway_side import GatewayLink
from parvis.adapters.store.store import SqlStore
from parvis.core.clock import SystemClock
from parvis.core.errors import Conflict, Unavailable
from parvis.core.money import Money
from parvis.domain.quota.budget import LeaseAnswer
from parvis.flows.claims import ClaimBook
from parvis.flows.hold import Hold
from parvis.flows.ports import Flow, Taken
from parvis.flows.vault import TenantVault
from parvis.testing.empty_store import empty_store


class Receiver:
    """Of one request: it may leave, and is steered by whoever works for it."""

    left = False

    def __init__(self) -> None:
        self.flow: Flow | None = None

    def attach(self, flow: Flow) -> None:
        self.flow = flow

    def events(self, data: bytes) -> None:
        """Nothing flows here."""

    def chosen(self, model_id: str, why: str) -> None: ...

    def admitted(self, hold: Hold) -> None: ...

    def flushed(self) -> bool:
        return True

    async def drained(self) -> None:
        """It always is."""


class House:
    """Where one control after another listens, all on one store."""

    def __init__(self, folder: Path, store: SqlStore) -> None:
        self._path = folder / "control.sock"
        self._book = ClaimBook(store, TenantVault(store, b"r" * 32, os.urandom), b"secret", SystemClock())

    @asynccontextmanager
    async def control(self) -> AsyncIterator[None]:
        async def grant(*_: object) -> LeaseAnswer:
            return LeaseAnswer(Money(1), Money(1))

        link = ControlLink(b"pepper", grant, lambda *_: None, lambda _: None)
        link.claims = ControlClaims(self._book)
        link.publish((), (), ())
        await link.start(bind_link(self._path))
        try:
            yield
        finally:
            link.close()

    @asynccontextmanager
    async def gateway(self, name: str) -> AsyncIterator[GatewayLink]:
        link = GatewayLink(self._path, name, SystemClock().unix_ms, lambda _: None)
        connecting = asyncio.ensure_future(link.client.keep_connected())
        try:
            yield link
        finally:
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)
            link.client.drop()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    store = SqlStore(empty_store(tmp_path / "parvis.sqlite"))
    await store.open()
    await store.create_organisation("acme", "Acme")
    await store.create_tenant("acme", "acme", "acme", credit_unlimited=True)
    yield House(tmp_path, store)
    await store.close()


def take(gateway: GatewayLink, receiver: Receiver | None = None, body: str = "body") -> "asyncio.Task[Taken]":
    return asyncio.ensure_future(gateway.claims.take("acme", "key", body, receiver or Receiver()))


async def soon(task: "asyncio.Task[Taken]") -> Taken:
    return await asyncio.wait_for(task, 10)


async def test_two_gateways_serve_it_once(house: House) -> None:
    async with house.control(), house.gateway("gw_1") as one, house.gateway("gw_2") as other:
        first = await soon(take(one))
        second = take(other)
        with pytest.raises(Conflict, match="another request"):
            await soon(take(other, body="another"))
        await one.claims.keep(first, b"answer")
        assert await soon(second) == Taken("", b"answer")
        assert await soon(take(one)) == Taken("", b"answer")


async def test_what_is_asked_and_told_between_two_controls_is_heard_by_the_second(house: House) -> None:
    async with house.gateway("gw_1") as one, house.gateway("gw_2") as other:
        async with house.control():
            first = await soon(take(one))
            waiting = take(other)
        keeping = asyncio.ensure_future(one.claims.keep(first, b"answer"))
        asking = take(one)
        async with house.control():
            await asyncio.wait_for(keeping, 10)
            assert await soon(waiting) == await soon(asking) == Taken("", b"answer")


async def test_a_failure_lets_the_next_one_run(house: House) -> None:
    async with house.control(), house.gateway("gw_1") as one, house.gateway("gw_2") as other:
        first = await soon(take(one))
        waiting = take(other)
        one.claims.free(first)
        assert (await soon(waiting)).answer is None


async def test_who_leaves_while_waiting_takes_nothing(house: House) -> None:
    async with house.control(), house.gateway("gw_1") as one, house.gateway("gw_2") as other:
        first = await soon(take(one))
        receiver = Receiver()
        left, waiting = take(other, receiver), take(one)
        await asyncio.sleep(0.1)
        assert receiver.flow is not None
        receiver.flow.cancel()
        with pytest.raises(Unavailable):
            await soon(left)
        one.claims.free(first)
        taken = await soon(waiting)
        await one.claims.keep(taken, None)
        with pytest.raises(Conflict, match="could not be kept"):
            await soon(take(other))


async def test_without_control_nothing_runs(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_claims, "CLAIM_S_MAX", 0.1)
    monkeypatch.setattr(link_claims, "KEEP_S_MAX", 0.1)
    monkeypatch.setattr(link_claims, "AGAIN_S", 0.1)
    async with house.gateway("gw_1") as one:
        with pytest.raises(Unavailable) as refusal:
            await soon(take(one))
        assert refusal.value.retry_after_s
        monkeypatch.setattr(link_claims, "CLAIM_S_MAX", 10.0)
        async with house.control():
            first = await soon(take(one))
        await one.claims.keep(first, b"answer")  # it gives up after a while
        async with house.control():
            with pytest.raises(Conflict, match="could not be kept"):
                await soon(take(one))
