"""Notices of money: an amount of a month is reached, or credit runs low. Each is given once."""

from dataclasses import replace
from typing import Protocol

from parvis.core.clock import Clock
from parvis.core.ids import Randomness, new_id
from parvis.core.money import ZERO, Money
from parvis.domain.billing.order import Order
from parvis.domain.billing.transfer import TransferKind
from parvis.domain.identity.notice import Notice, NoticeKind
from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.place import Target
from parvis.domain.quota.budget import Spending, month_bounds_ms, month_of
from parvis.domain.quota.limit import Level, notice_amounts, subject
from parvis.flows.limited import Limited, LimitedStore, find_limited
from parvis.flows.notice_store import NoticeStore
from parvis.flows.organisations import tenants_of
from parvis.flows.reach import place_of

LOW_PERCENT = 20
"""Of the last order: when no more than this is left of all credit, somebody is told."""
NO_MONTH = 0
ORDERS_AT_ONCE = 1_000
_UNUSED = Spending(ZERO, ZERO)


class WatchedStore(LimitedStore, NoticeStore, Protocol):
    """The ports that these stories need, of one store."""


async def tell_of_budgets(store: WatchedStore, clock: Clock, randomness: Randomness) -> int:
    """Give notice of each amount that was reached since the last time; return how many notices were made.

    Where several amounts of one subject were reached at once, the highest is told of, and counts for all of them.
    """
    month, made = month_of(clock.unix_ms()), 0
    watched = await store.limits_watched()
    spending = await store.spending([one.subject for one in watched], month)
    told = await store.thresholds_told(month)
    for one in watched:
        spent = spending.get(one.subject, _UNUSED).spent
        reached = [amount for amount in notice_amounts(one.limits) if amount <= spent]
        new = [amount for amount in reached if (one.subject, amount) not in told]
        found = await find_limited(store, one.subject) if new else None
        if found is not None:
            now = clock.unix_ms()
            notices = await _of_budget(store, randomness, found, (spent, new[-1]), now)
            made += await store.tell_threshold(one.subject, month, new, notices, now)
    return made


async def tell_of_low_credit(store: WatchedStore, clock: Clock, randomness: Randomness) -> int:
    """Give notice to tenants of whose credit little is left, once for each last order; return how many were told."""
    told, made, now = await store.thresholds_told(NO_MONTH), 0, clock.unix_ms()
    for order, left in await _last_orders(store):
        low = left.pico_euro * 100 <= order.amount.pico_euro * LOW_PERCENT
        if not low or (_of_order(order), order.amount) in told:
            continue
        found = await find_limited(store, subject(Level.TENANT, order.tenant_id))
        if found is not None:
            notice = _notice(randomness, NoticeKind.CREDIT_LOW, found, found.place, (now, now))
            notice = replace(notice, amount_pico_euro=left.pico_euro, limit_pico_euro=order.amount.pico_euro)
            made += await store.tell_threshold(_of_order(order), NO_MONTH, [order.amount], [notice], now)
    return made


async def _of_budget(
    store: WatchedStore, randomness: Randomness, found: Limited, spent_and_reached: tuple[Money, Money], now: int
) -> list[Notice]:
    """One for each tenant that is told, a moment apart: a notice is the only one of its kind, subject and moment."""
    spent, reached = spent_and_reached
    return [
        replace(
            _notice(randomness, NoticeKind.BUDGET_REACHED, found, place, (now + number, now)),
            ends_unix_ms=month_bounds_ms(month_of(now))[1],
            amount_pico_euro=spent.pico_euro,
            limit_pico_euro=reached.pico_euro,
        )
        for number, place in enumerate(await _who_is_told(store, found))
    ]


async def _who_is_told(store: WatchedStore, found: Limited) -> list[Target]:
    """The tenants in which it is spent: of an organisation all, of a user those in which they have keys."""
    if found.place.tenant_id:
        return [found.place]
    if found.level is Level.USER:
        return sorted({place_of(key) for key in await store.keys_owned(found.object_id) if key.active})
    tenants = await tenants_of(store, found.place.organisation_id)
    return [place_of(tenant) for tenant in tenants if tenant.standing is not Standing.REMOVED]


async def _last_orders(store: WatchedStore) -> list[tuple[Order, Money]]:
    """Of each tenant that is served and has a limited credit, its last order, and what is left of all of its credit."""
    orders: dict[str, list[Order]] = {}
    after: str | None = None
    while page := await store.orders_page(None, after, ORDERS_AT_ONCE):
        for order in page:
            orders.setdefault(order.tenant_id, []).append(order)
        after = page[-1].order_id
    found = []
    for tenant in await store.tenants():
        own = (
            []
            if tenant.credit_unlimited or tenant.standing is not Standing.ACTIVE
            else orders.get(tenant.tenant_id, [])
        )
        bought = [order for order in own if order.kind is TransferKind.CREDIT]
        if bought:
            last = max(bought, key=lambda order: (order.made_unix_ms, order.order_id))
            found.append((last, sum((order.unspent for order in own), ZERO)))
    return found


def _notice(
    randomness: Randomness, kind: NoticeKind, found: Limited, place: Target, moment_and_now: tuple[int, int]
) -> Notice:
    moment, now = moment_and_now
    notice_id = new_id("ntc", now, randomness)
    return Notice(notice_id, kind, *place, found.subject, found.name, moment, None, None, now)


def _of_order(order: Order) -> str:
    """What is remembered of a last order, beside the subjects of budgets."""
    return f"order:{order.order_id}"
