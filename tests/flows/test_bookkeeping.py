"""What the ticker does about money: credit expires, differences are counted and said once, lost runs are closed."""

import logging

import pytest
from sqlalchemy import Connection, text

from parvis.adapters.store.store import SqlStore
from parvis.core.clock import SystemClock
from parvis.core.errors import Conflict
from parvis.core.money import ZERO, Money
from parvis.domain.billing.order import Order
from parvis.domain.billing.transfer import tenant_account
from parvis.flows.bookkeeping import EXPIRY_AFTER_MS, Bookkeeper, declare_lost
from parvis.testing.store_suite import lent, settle_in

ACCOUNT = tenant_account("limited")


def plant(connection: Connection) -> None:
    connection.execute(text("UPDATE accounts SET balance = '6' WHERE account = 'tenant:limited'"))


async def test_a_difference_is_counted_and_said_once(store: SqlStore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "parvis.control")
    counted: list[int] = []
    keeper = Bookkeeper(store, SystemClock(), lambda _, number: counted.append(number))
    await settle_in(store)
    await store.credit("limited", Money(5), "order")
    await keeper.check()
    await store.database.run(plant)
    for _ in range(2):
        await keeper.check()
    assert counted == [0, 2, 2]
    said = [vars(record)["reason"] for record in caplog.records]
    assert len(said) == len(set(said)) == 2
    assert any("account tenant:limited" in reason for reason in said)


async def test_credit_expires_a_moment_after_its_time(store: SqlStore) -> None:
    clock = SystemClock()
    keeper = Bookkeeper(store, clock, lambda *_: None)
    await settle_in(store)
    over = clock.unix_ms() - EXPIRY_AFTER_MS
    await store.add_order(Order("now", "limited", Money(5), "", clock.unix_ms() + 1_000))
    await store.add_order(Order("before", "limited", Money(7), "", over))
    await keeper.expire()
    assert await store.balance(ACCOUNT) == Money(5)
    await keeper.check()
    checked = await store.last_check()
    assert checked is not None
    assert checked.differences == ()


async def test_a_run_is_lost_only_when_its_journal_is_not_at_hand(store: SqlStore) -> None:
    await settle_in(store)
    await store.credit("limited", Money(5), "order")
    await lent(store, "limited", "run", Money(3), "ask")
    with pytest.raises(Conflict):
        await declare_lost(store, {"run"}, "run", "a rumour", dry=False)
    for dry in (True, False):
        assert await declare_lost(store, set(), "run", "its disk burnt", dry=dry) == {ACCOUNT: Money(3)}
        assert await store.balance(ACCOUNT) == (Money(2) if dry else Money(5))
    assert await store.held_by("run") == {}
    assert await store.balance("lease:limited:run") == ZERO
