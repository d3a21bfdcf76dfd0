"""What every store promises of orders and refunds, as functions that take an open, empty store."""

# ruff: noqa: D103 - a promise's name is its sentence, and a number in it is the expectation

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from parvis.core.errors import BadRequest, Conflict, NotFound
from parvis.core.money import ZERO, Money
from parvis.domain.billing.order import Order
from parvis.domain.billing.transfer import REVENUE, WORLD_ALLOWANCE, TransferKind, tenant_account
from parvis.flows.store import Store
from parvis.testing.store_suite import COST, lent, settle_in, usage_record

TENANT = tenant_account("limited")
SOON, LATE = 1_000, 2_000
"""Moments at which orders end; those of the tests are made later, by the clock of the machine, which matters not."""


async def unspent(store: Store) -> dict[str, Money]:
    return {order.order_id: order.unspent for order in await store.orders_page("limited", None, 100)}


async def spend(store: Store, *numbers: int) -> None:
    """Requests that cost `COST` each."""
    await lent(store, "limited", "run", COST * len(numbers), f"lease{numbers}")
    assert await store.ingest("run", numbers[-1], [usage_record(number) for number in numbers]) == len(numbers)


async def an_order_is_made_once(store: Store) -> None:
    await settle_in(store)
    order = Order("o1", "limited", COST * 5, "invoice 7", LATE)
    for _ in range(2):
        await store.add_order(order)
    assert await store.balance(TENANT) == COST * 5
    [kept] = await store.orders_page(None, None, 10)
    assert replace(kept, made_unix_ms=0) == replace(order, unspent=COST * 5)
    for other in (
        replace(order, expires_unix_ms=SOON),
        replace(order, amount=COST),
        replace(order, tenant_id="unlimited"),
    ):
        with pytest.raises(Conflict):
            await store.add_order(other)
    with pytest.raises(NotFound):
        await store.add_order(replace(order, order_id="o2", tenant_id="nobody"))
    with pytest.raises(BadRequest):
        await store.add_order(replace(order, order_id="o2", amount=ZERO))
    assert await store.orders_page(None, "o1", 10) == []
    assert await store.check() == []


async def what_expires_first_is_spent_first(store: Store) -> None:
    await settle_in(store)
    await store.credit("limited", COST * 2, "never")
    await spend(store, 1)
    await store.add_order(Order("late", "limited", COST * 2, "", LATE))
    await store.add_order(Order("soon", "limited", COST * 2, "", SOON))
    await spend(store, 2, 3, 4)
    assert await unspent(store) == {"late": COST, "never": COST, "soon": ZERO}
    [expired] = [order for order in await store.expire_orders(LATE) if order.expired > ZERO]
    assert (expired.order_id, expired.expired, expired.unspent) == ("late", COST, ZERO)
    assert await store.balance(TENANT) == COST
    assert await store.balance(WORLD_ALLOWANCE) == ZERO - COST * 5
    assert await store.expire_orders(LATE) == []
    assert await store.check() == []


async def what_a_gateway_holds_expires_when_it_comes_back(store: Store) -> None:
    await settle_in(store)
    await store.add_order(Order("soon", "limited", COST * 5, "", SOON))
    await lent(store, "limited", "run", COST * 3, "g1")
    assert await store.expire_orders(SOON - 1) == []
    [first] = await store.expire_orders(SOON)
    assert (first.expired, first.unspent, first.closed_unix_ms) == (COST * 2, COST * 3, None)
    await store.ingest("run", 1, [usage_record(1)])
    await store.return_lease("run")
    [second] = await store.expire_orders(SOON + 1)
    assert (second.expired, second.unspent, second.closed_unix_ms) == (COST * 4, ZERO, SOON + 1)
    assert await store.balance(TENANT) == ZERO
    assert await store.check() == []


async def a_refund_is_at_most_what_was_paid(store: Store) -> None:
    await settle_in(store)
    await store.add_order(Order("soon", "limited", COST * 5, "", SOON))
    await spend(store, 1, 2)
    with pytest.raises(Conflict):
        await store.refund("limited", COST * 3, "r0", "too much")
    for _ in range(2):
        await store.refund("limited", COST, "r1", "wrong model")
    with pytest.raises(Conflict):
        await store.refund("limited", COST * 2, "r2", "more than is left of it")
    with pytest.raises(Conflict):
        await store.refund("limited", Money(1), "r1", "another amount")
    with pytest.raises(NotFound):
        await store.refund("nobody", COST, "r3", "")
    assert await store.balance(REVENUE) == COST
    await store.expire_orders(SOON)
    assert await store.balance(TENANT) == COST  # a refund never expires
    [refund] = [order for order in await store.orders_page("limited", None, 10) if order.kind is TransferKind.REFUND]
    assert (refund.order_id, refund.amount, refund.note) == ("r1", COST, "wrong model")
    assert await store.check() == []


PROMISES: tuple[Callable[[Store], Awaitable[None]], ...] = (
    an_order_is_made_once,
    what_expires_first_is_spent_first,
    what_a_gateway_holds_expires_when_it_comes_back,
    a_refund_is_at_most_what_was_paid,
)
