"""What every store promises of leases, budgets, lost runs and self-checks, for an open, empty store."""

# ruff: noqa: D103, PLR2004 - a promise's name is its sentence, and a number in it is the expectation

import asyncio
import random
from collections.abc import Awaitable, Callable
from itertools import count

import pytest

from parvis.core.errors import BadRequest, Conflict, NotFound
from parvis.core.money import ZERO, Money
from parvis.core.tokens import TokenCount
from parvis.domain.billing.transfer import REVENUE, lease_account, tenant_account
from parvis.domain.metering.records import UsageRecord
from parvis.domain.quota.budget import Spending, budget_account, month_of
from parvis.domain.quota.limit import Limits, SubjectLimits
from parvis.flows.store import Store
from parvis.testing.store_suite import COST, NOON_UNIX_MS, lent, settle_in, usage_record

MONTH = month_of(NOON_UNIX_MS)
KEY = "key:key0"
BUDGET = budget_account(KEY, MONTH)
DAY_MS = 86_400_000


async def limit(store: Store, named: str, monthly: Money | None) -> None:
    """What this subject may spend in a month from now on."""
    await store.put_limits(SubjectLimits(named, "org", "limited", Limits(monthly=monthly)))


async def borrowed(store: Store, run: str, amount: Money, ask: str, account: str = BUDGET) -> Money:
    """What a run gets that needs all of it."""
    return (await store.lend(account, run, amount, amount, ask)).granted


def held(number: int, *accounts: str, started_unix_ms: int = NOON_UNIX_MS) -> UsageRecord:
    """A request of key0 (its number is a multiple of three), of a project and a user, held against these budgets."""
    record = usage_record(number * 3, started_unix_ms=started_unix_ms)
    whose = record.started._replace(budgets=accounts, project_id="prj", owner_id="usr")
    return record._replace(started=whose)


async def money_for(store: Store, requests: int, *runs: str) -> None:
    """Credit, and leases of it that cover so many requests of each run."""
    await settle_in(store)
    await store.credit("limited", COST * requests * len(runs), "order")
    for run in runs:
        await lent(store, "limited", run, COST * requests, f"money-{run}")


# -------------------------------------------------------------------------------------------------- leases


async def a_lease_ahead_of_need_is_a_share(store: Store) -> None:
    """With two holders, an eighth of what is left at a time."""
    await settle_in(store)
    await store.credit("limited", Money(800), "order")
    account = tenant_account("limited")
    assert await store.lend(account, "run", ZERO, Money(500), "g1", 2) == (Money(100), Money(700))
    assert await store.lend(account, "run", ZERO, Money(50), "g2", 2) == (Money(50), Money(650))
    assert await store.lend(account, "run", Money(300), Money(500), "g3", 2) == (Money(300), Money(350))


async def part_of_a_lease_comes_back_once(store: Store) -> None:
    await settle_in(store)
    await store.credit("limited", Money(100), "order")
    await lent(store, "limited", "run", Money(60), "g1")
    account = tenant_account("limited")
    for ask, amount, back in (("r1", 20, 20), ("r1", 20, 20), ("r2", 50, 40), ("r3", 1, 0)):
        assert await store.return_part(account, "run", Money(amount), ask) == Money(back)
    assert await store.balance(account) == Money(100)
    with pytest.raises(BadRequest):
        await store.return_part(account, "run", ZERO, "r4")
    await lent(store, "limited", "run", Money(5), "g2")
    await store.return_lease("run")
    assert await store.return_part(account, "run", Money(1), "r5") == ZERO
    assert await store.check() == []


async def what_cannot_be_booked_is_set_aside(store: Store) -> None:
    """By name and with the reason; the rest goes on, and nobody tries again."""
    await settle_in(store)
    await store.credit("limited", COST * 9, "order")
    await lent(store, "limited", "run", COST, "g1")
    nonsense = usage_record(4)._replace(settled=usage_record(4).settled._replace(tokens=TokenCount(-1, 0, 0, 0)))
    for _ in range(2):
        fresh = await store.ingest("run", 9, [usage_record(1), usage_record(2), usage_record(3, "nobody"), nonsense])
        assert fresh in (1, 0)
    assert await store.position("run") == 9
    assert await store.request("req_000001") is not None
    assert await store.balance(lease_account("limited", "run")) == ZERO
    aside = await store.unbookable()
    assert [(one.request_id, one.incarnation) for one in aside] == [(f"req_00000{n}", "run") for n in (2, 3, 4)]
    assert "less than is taken" in aside[0].reason
    assert "nobody" in aside[1].reason
    assert "constraint" in aside[2].reason
    assert [one.request_id for one in await store.unbookable("req_000002", 1)] == ["req_000003"]
    assert [text.partition(":")[0] for text in await store.check()] == [f"request req_00000{n}" for n in (2, 3, 4)]
    for number in (2, 3, 4):
        await store.dismiss(f"req_00000{number}", "looked into")
    assert await store.check() == []
    assert {one.note for one in await store.unbookable()} == {"looked into"}
    with pytest.raises(NotFound):
        await store.dismiss("req_000001", "booked")


# ------------------------------------------------------------------------------------------------- budgets


async def a_budget_is_lent_up_to_its_limit(store: Store) -> None:
    await settle_in(store)
    assert await borrowed(store, "run", Money(10**9), "g0") == Money(10**9)  # there is none: always enough
    await store.return_lease("run")
    await limit(store, KEY, Money(100))
    assert await store.lend(BUDGET, "run1", Money(60), Money(90), "g1") == (Money(60), Money(40))
    assert await store.lend(BUDGET, "run1", Money(60), Money(90), "g1") == (Money(60), Money(40))
    assert await store.lend(BUDGET, "run2", ZERO, Money(90), "g2", 2) == (Money(5), Money(35))
    assert await store.lend(BUDGET, "run2", Money(36), Money(36), "g3") == (ZERO, Money(35))
    assert await store.holders_of(BUDGET) == ["run1", "run2"]
    with pytest.raises(Conflict):
        await borrowed(store, "run2", Money(1), "g1")
    assert await store.return_part(BUDGET, "run1", Money(50), "r1") == Money(50)
    assert await store.return_part(BUDGET, "run1", Money(50), "r1") == Money(50)
    assert await store.return_part(BUDGET, "run1", Money(50), "r2") == Money(10)
    assert await store.return_lease("run2") == ZERO
    assert await store.holders_of(BUDGET) == []
    assert await store.spending([KEY, "key:other"], MONTH) == dict.fromkeys([KEY, "key:other"], Spending(ZERO, ZERO))
    with pytest.raises(Conflict):
        await borrowed(store, "run2", Money(1), "g4")
    assert await store.check() == []


async def borrowing_at_once_never_overruns_a_budget(store: Store) -> None:
    await settle_in(store)
    await limit(store, KEY, Money(100))
    granted = await asyncio.gather(*(borrowed(store, f"run{n % 4}", Money(3), f"g{n}") for n in range(60)))
    assert sum(granted, ZERO) == Money(99)
    assert (await store.spending([KEY], MONTH))[KEY] == Spending(ZERO, Money(99))
    assert await store.check() == []


async def what_is_booked_is_spent_by_all_its_subjects(store: Store) -> None:
    """And what was leased for it is leased no more, where it was held against a budget."""
    await money_for(store, 3, "run")
    await limit(store, KEY, COST * 10)
    await borrowed(store, "run", COST * 4, "g1")
    await store.ingest("run", 1, [held(1, BUDGET), held(2, BUDGET), held(3)])
    spent = await store.spending(
        [KEY, "user:usr", "project:prj", "tenant:limited", "contract:limited", "organisation:org"], MONTH
    )
    assert spent.pop(KEY) == Spending(COST * 3, COST * 2)
    assert set(spent.values()) == {Spending(COST * 3, ZERO)}
    assert await borrowed(store, "run", COST * 6, "g2") == ZERO
    assert await borrowed(store, "run", COST * 5, "g3") == COST * 5
    assert await store.check() == []


async def a_limit_that_comes_late_counts_what_was_spent(store: Store) -> None:
    await money_for(store, 3, "run")
    await store.ingest("run", 1, [held(1), held(2), held(3)])
    for spender in (KEY, "user:usr", "project:prj", "organisation:org"):
        account = budget_account(spender, MONTH)
        await limit(store, spender, COST * 2)
        assert await store.lend(account, "run", COST, COST, f"{spender}1") == (ZERO, ZERO)
        await limit(store, spender, COST * 4)
        assert await store.lend(account, "run", COST, COST, f"{spender}2") == (COST, ZERO)
    assert await store.check() == []


async def a_request_is_of_the_month_in_which_it_was_held(store: Store) -> None:
    await money_for(store, 2, "run")
    first_of_next_ms = NOON_UNIX_MS + 28 * DAY_MS  # 1 November
    crossing = held(1, BUDGET, started_unix_ms=first_of_next_ms)
    await store.ingest("run", 1, [crossing, held(2, started_unix_ms=first_of_next_ms)])
    spent = [(await store.spending([KEY], month))[KEY].spent for month in (MONTH, MONTH + 1)]
    assert spent == [COST, COST]
    found = await store.request(crossing.started.request_id)
    assert found is not None
    assert month_of(found.started.started_unix_ms) == MONTH
    assert await store.check() == []


async def whatever_happens_nothing_is_overrun(store: Store) -> None:
    """A random history of runs that borrow, serve, give back and end, against one budget and one tenant's credit."""
    await settle_in(store)
    await store.credit("limited", COST * 40, "order")
    await limit(store, KEY, COST * 25)
    dice, numbers = random.Random(5), count(1)
    accounts = (tenant_account("limited"), BUDGET)
    for life in range(6):
        run, covered = f"run{life}", 0
        for step in range(12):
            ask, many = f"{run}.{step}", dice.randrange(1, 4)
            if covered and dice.random() < 0.6:
                covered -= await store.ingest(run, step, [held(next(numbers), BUDGET)])
            else:
                got = [await borrowed(store, run, COST * many, f"{ask}.{one}", one) for one in accounts]
                covered += many if ZERO not in got else 0
                for account, amount in zip(accounts, got, strict=True):
                    if ZERO in got and amount > ZERO:
                        await store.return_part(account, run, amount, f"{ask} back")
            spent, leased = (await store.spending([KEY], MONTH))[KEY]
            assert spent + leased <= COST * 25
        await store.return_lease(run)
    assert await store.balance(REVENUE) == COST * (next(numbers) - 1)
    assert await store.check() == []


# ------------------------------------------------------------------------------------------- runs that are lost


async def what_a_lost_run_held_is_billed_to_nobody(store: Store) -> None:
    await money_for(store, 3, "run")
    await limit(store, KEY, COST * 10)
    await borrowed(store, "run", COST * 4, "g1")
    await store.ingest("run", 1, [held(1, BUDGET)])
    holds = {tenant_account("limited"): COST * 2, BUDGET: COST * 3}
    assert await store.held_by("run") == holds
    assert await store.declare_lost("run", "its disk burnt") == holds
    assert await store.held_by("run") == {}
    assert await store.balance(tenant_account("limited")) == COST * 2
    assert (await store.spending([KEY], MONTH))[KEY] == Spending(COST, ZERO)
    with pytest.raises(Conflict):
        await store.declare_lost("run", "again")
    with pytest.raises(NotFound):
        await store.declare_lost("never", "was")
    assert await store.ingest("run", 2, [held(2, BUDGET)]) == 0  # found after all: it is set aside
    assert [one.request_id for one in await store.unbookable()] == ["req_000006"]


# ------------------------------------------------------------------------------------------------ self-checks


async def the_books_check_what_is_new(store: Store) -> None:
    assert await store.last_check() is None
    await money_for(store, 9, "run")
    first = await store.check_new(DAY_MS)
    await store.ingest("run", 1, [held(1, BUDGET), held(2)])
    second = await store.check_new(DAY_MS)
    assert (first.differences, second.differences) == ((), ())
    assert second.whole_unix_ms == first.whole_unix_ms
    assert await store.last_check() == second
    assert (await store.check_new(0)).whole_unix_ms >= second.at_unix_ms


PROMISES: tuple[Callable[[Store], Awaitable[None]], ...] = (
    a_lease_ahead_of_need_is_a_share,
    part_of_a_lease_comes_back_once,
    what_cannot_be_booked_is_set_aside,
    a_budget_is_lent_up_to_its_limit,
    borrowing_at_once_never_overruns_a_budget,
    what_is_booked_is_spent_by_all_its_subjects,
    a_limit_that_comes_late_counts_what_was_spent,
    a_request_is_of_the_month_in_which_it_was_held,
    whatever_happens_nothing_is_overrun,
    what_a_lost_run_held_is_billed_to_nobody,
    the_books_check_what_is_new,
)
