"""Two gateways, one control and one store, on a real socket: money goes to where it is needed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from parvis.adapters.link.control_side import ControlLink, bind_link
from parvis.adapters.link.gateway_side import GatewayLink
from parvis.adapters.store.store import SqlStore
from parvis.core.money import ZERO, Money
from parvis.domain.billing.transfer import lease_account, tenant_account
from parvis.flows import lending
from parvis.flows.lending import Lender
from parvis.flows.purse import LeasedPurse
from parvis.testing.empty_store import empty_store
from parvis.testing.store_suite import settle_in

ACCOUNT = tenant_account("limited")
CREDIT = Money(1_000)


@asynccontextmanager
async def control(path: Path, store: SqlStore) -> AsyncIterator[ControlLink]:
    def recall(account: str, but: str) -> None:
        link.recall(account, but)

    lender = Lender(store, lambda: link.gateways, recall)
    link = ControlLink(b"pepper", lender.lend, lambda *_: None, lambda _: None)
    link.returned = lender.returned
    link.publish((), (), ())
    await link.start(bind_link(path))
    try:
        yield link
    finally:
        link.close()


@asynccontextmanager
async def gateway(path: Path, run: str) -> AsyncIterator[LeasedPurse]:
    known = asyncio.Event()
    link = GatewayLink(path, run, lambda: 1, lambda _: known.set())
    purse = LeasedPurse(link, CREDIT)
    link.on_recall = purse.recall
    connecting = asyncio.ensure_future(link.client.keep_connected())
    await asyncio.wait_for(known.wait(), 10)
    try:
        yield purse
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    opened = SqlStore(empty_store(tmp_path / "store.db"))
    await opened.open()
    yield opened
    await opened.close()


async def test_what_one_gateway_has_free_another_gets_at_once(
    store: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lending, "RECALL_S", 4.0)  # less than a gateway's patience; this machine may be slow
    await settle_in(store)
    await store.credit("limited", CREDIT, "order")
    path = tmp_path / "control.sock"
    async with control(path, store), gateway(path, "gw1") as one, gateway(path, "gw2") as other:
        most = Money(900)
        assert await one.hold((ACCOUNT,), most) is None
        one.settle((ACCOUNT,), most, Money(100))
        assert await other.hold((ACCOUNT,), most) is None
        other.settle((ACCOUNT,), most, ZERO)
        assert await one.hold((ACCOUNT,), Money(800)) is None
    assert await store.balance(lease_account("limited", "gw1")) >= Money(900)
    assert await store.check() == []
