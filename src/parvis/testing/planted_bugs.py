"""Bugs of the money path, to be planted in a running simulation: each breaks a law of `simulation` before long.

with pytest.MonkeyPatch.context() as planted:
    voids_are_skipped(planted)
    assert first_broken(2_000) != []
"""

# ruff: noqa: D103, SLF001 - a bug's name is its sentence, and it reaches into what it breaks

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from typing import Any

import pytest

from parvis.core.errors import Failure, Unavailable
from parvis.core.money import ZERO, Money
from parvis.core.tokens import NO_TOKENS, TokenCount
from parvis.domain.billing import price as pricing
from parvis.domain.billing.price import PriceList
from parvis.domain.metering.records import Outcome, Settled, Started
from parvis.domain.metering.replay import Replay
from parvis.domain.quota.budget import LeaseAnswer, budget_account, budget_of, month_of
from parvis.flows.gate import Ask
from parvis.flows.hold import Hold
from parvis.flows.ports import Delivery
from parvis.flows.purse import LeasedPurse
from parvis.flows.quota import LeasedQuota
from parvis.flows.rate_trade import Trader
from parvis.flows.serve import serve
from parvis.flows.trail import Trail
from parvis.flows.virtual_time import VirtualLoop
from parvis.testing.simulated_world import Books, Owner
from parvis.testing.simulation import simulate

Plant = Callable[[pytest.MonkeyPatch], None]


def first_broken(schedules: int) -> list[str]:
    """The laws that the first of these schedules breaks which breaks any."""
    with closing(VirtualLoop()) as loop:
        return next((broken for seed in range(schedules) if (broken := simulate(seed, loop))), [])


# --------------------------------------------------------------------------------- spend: late, twice, or never


def counted_late(plant: pytest.MonkeyPatch) -> None:
    settle = Trail.settle

    def later(self: Trail, *values: Any) -> Awaitable[None]:
        loop = asyncio.get_running_loop()
        loop.call_later(0.01, lambda: asyncio.ensure_future(settle(self, *values)))
        return asyncio.sleep(0)

    plant.setattr(Trail, "settle", later)


def counted_twice(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Books, "fresh", lambda _, records: list(records))


def counted_on_success_only(plant: pytest.MonkeyPatch) -> None:
    settle = Trail.settle

    def if_completed(self: Trail, delivery: Delivery, billed: Money, written_off: Money) -> Awaitable[None]:
        if delivery.outcome is Outcome.COMPLETED:
            return settle(self, delivery, billed, written_off)
        return settle(self, Delivery(outcome=delivery.outcome), ZERO, ZERO)

    plant.setattr(Trail, "settle", if_completed)


def every_attempt_is_billed(plant: pytest.MonkeyPatch) -> None:
    start = Trail.start

    def again(self: Trail, replica: Any) -> None:
        if self.open:
            name = f"{self._request.request_id}-retried"
            self._house.journal.start(replace_id(self, name), None)
            asyncio.ensure_future(self._house.journal.settle(Settled(name, Outcome.COMPLETED)))  # noqa: RUF006 - it ends with the world
        start(self, replica)

    plant.setattr(Trail, "start", again)


def replace_id(trail: Trail, name: str) -> Started:
    request, key = trail._request, trail._key
    held = trail._hold.amount.pico_euro
    return Started(name, "o", key.tenant_id, key.key_id, "m", request.operation, "e-0", "p1", held, True, 0)  # noqa: FBT003 - a record's fields, in order


def failures_are_billed(plant: pytest.MonkeyPatch) -> None:
    async def bill(self: Trail, _: Failure) -> None:
        if self.open:
            await self.settle(Delivery(TokenCount(1), outcome=Outcome.ENGINE_BROKE), Money(3), ZERO)

    plant.setattr(Trail, "void", bill)


def the_dead_are_forgotten(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Replay, "end", lambda _: [])


def priced_again(name: str) -> Plant:
    """One class is priced within its total, and once more by itself."""
    cost = pricing.cost

    def twice(tokens: TokenCount, prices: PriceList) -> Money:
        part = NO_TOKENS._replace(**{name: getattr(tokens, name)})
        return cost(tokens, prices) + cost(part, prices)

    return lambda plant: plant.setattr("parvis.flows.serve.cost", twice)


# ------------------------------------------------------------------------------ budgets, holds, leases, limits


def read_then_write(plant: pytest.MonkeyPatch) -> None:
    async def slowly(self: Books, account: str, run: str, need: Money, wanted: Money, ask: str) -> LeaseAnswer:
        left = self.left(account)
        await self._dice.pause()
        return self.debit(account, run, left, need, wanted, ask)

    plant.setattr(Books, "grant", slowly)


def checked_by_nobody(plant: pytest.MonkeyPatch) -> None:
    def hold(self: LeasedPurse, accounts: Sequence[str], amount: Money) -> bool:
        for account in accounts:
            self._share(account).lease.held_pico_euro += amount.pico_euro
        return True

    plant.setattr(LeasedPurse, "hold_now", hold)


def voids_are_skipped(plant: pytest.MonkeyPatch) -> None:
    settle = LeasedQuota.settle

    def unless_void(self: LeasedQuota, hold: Hold, billed: Money, tokens: TokenCount) -> None:
        if billed != ZERO:
            settle(self, hold, billed, tokens)

    plant.setattr(LeasedQuota, "settle", unless_void)


def a_dead_gateway_keeps_its_lease(plant: pytest.MonkeyPatch) -> None:
    async def close(self: Books, incarnation: str) -> Money:
        self.closed.add(incarnation)
        return ZERO

    plant.setattr(Books, "return_lease", close)


def fails_open(plant: pytest.MonkeyPatch) -> None:
    top_up = LeasedPurse._top_up

    async def or_take_it(self: LeasedPurse, share: Any, need: int, wanted: int) -> None:
        try:
            await top_up(self, share, need, wanted)
        except Unavailable:
            share.lease.grant(need)

    plant.setattr(LeasedPurse, "_top_up", or_take_it)


def once_for_each_replica(plant: pytest.MonkeyPatch) -> None:
    async def alone(self: Books, account: str, run: str, need: Money, wanted: Money, ask: str) -> LeaseAnswer:
        others = self.out[account] - self.leased[run][account] - self.spent[run][account]
        return self.debit(account, run, self.left(account) + others, need, wanted, ask)

    plant.setattr(Books, "grant", alone)


def settled_in_another_month(plant: pytest.MonkeyPatch) -> None:
    settle = LeasedQuota.settle

    def by_the_clock(self: LeasedQuota, hold: Hold, billed: Money, tokens: TokenCount) -> None:
        month = month_of(self._clock.unix_ms())
        of = (budget_of(account) for account in hold.accounts)
        accounts = tuple(
            a if b is None else budget_account(b[0], month) for a, b in zip(hold.accounts, of, strict=True)
        )
        elsewhere = Hold(accounts, hold.amount, hold.worst, hold.passage, hold.clipped_by)
        settle(self, elsewhere, billed, tokens)

    plant.setattr(LeasedQuota, "settle", by_the_clock)


def open_without_its_owner(plant: pytest.MonkeyPatch) -> None:
    def let_pass(self: Trader, ask: Ask, _: Any) -> None:
        if not ask.answer.done():
            ask.answer.set_result(self._now_ns())
            for place in ask.gate.places:
                place.enter()

    plant.setattr(Trader, "_divide", let_pass)


def a_bucket_for_each_replica(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Owner, "whose", lambda _self, bucket, run: f"{bucket} {run}")


def by_the_clock_of_the_node(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Owner, "now_us", lambda _self, clock: clock.unix_ms() * 1000)


def a_cut_looks_complete(plant: pytest.MonkeyPatch) -> None:
    async def serve_all(*values: Any) -> Delivery:
        delivery = await serve(*values)
        delivery.outcome = Outcome.COMPLETED
        return delivery

    plant.setattr("parvis.api.inference.desk.serve", serve_all)
