"""What a gateway needs and others hold without need comes to it; who waits in vain is answered all the same."""

import asyncio

import pytest

from parvis.adapters.store.store import SqlStore
from parvis.core.money import ZERO, Money
from parvis.domain.billing.transfer import tenant_account
from parvis.domain.quota.budget import LeaseAnswer
from parvis.flows import lending
from parvis.flows.lending import Lender
from parvis.testing.store_suite import settle_in

ACCOUNT = tenant_account("limited")
RUNS = ("gw1", "gw2", "gw3")


class Gateways:
    """Three that are connected; each gives back what it was told that it does not need, when it is asked."""

    def __init__(self, store: SqlStore) -> None:
        self.lender = Lender(store, lambda: RUNS, self.recall)
        self.spare: dict[str, Money] = {}
        self.recalled: list[tuple[str, str]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def recall(self, account: str, but: str) -> None:
        self.recalled.append((account, but))
        for run, amount in self.spare.items():
            if run != but:
                back = self.lender.returned(account, run, amount, f"back {run} {len(self.recalled)}")
                task = asyncio.ensure_future(back)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def ask(self, run: str, need: int, ask: str) -> LeaseAnswer:
        return await self.lender.lend(ACCOUNT, run, Money(need), Money(need), ask)


@pytest.fixture
async def gateways(store: SqlStore) -> Gateways:
    await settle_in(store)
    await store.credit("limited", Money(100), "order")
    return Gateways(store)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine may be slow; nothing here waits so long in vain."""
    monkeypatch.setattr(lending, "RECALL_S", 30.0)


@pytest.mark.usefixtures("patient")
async def test_what_others_do_not_need_comes_to_who_does(gateways: Gateways) -> None:
    for run, need in (("gw1", 50), ("gw2", 40)):
        assert (await gateways.ask(run, need, run)).granted == Money(need)
    gateways.spare = {"gw1": Money(20), "gw2": Money(30)}
    asked = [gateways.ask("gw3", 30, "a"), gateways.ask("gw3", 25, "b")]
    assert [answer.granted for answer in await asyncio.gather(*asked)] == [Money(30), Money(25)]
    assert set(gateways.recalled) == {(ACCOUNT, "gw3")}


async def test_who_waits_in_vain_is_told_what_is_left(gateways: Gateways) -> None:
    await gateways.ask("gw1", 90, "a")
    assert await gateways.ask("gw2", 20, "b") == LeaseAnswer(ZERO, Money(10))
    assert gateways.recalled == [(ACCOUNT, "gw2")]


async def test_nobody_is_asked_when_nobody_else_holds_anything(gateways: Gateways) -> None:
    await gateways.ask("gw1", 90, "a")
    assert (await gateways.ask("gw1", 20, "b")).granted == ZERO
    assert (await gateways.lender.lend(ACCOUNT, "gw2", ZERO, Money(90), "ahead")).granted == ZERO
    assert gateways.recalled == []
