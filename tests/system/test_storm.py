"""Eight processes against PostgreSQL and Redis, killed and restarted at random: the books hold to the last pico-euro.

Seven gateways and one control. What left for clients before a kill is known to them, and must be in the books.
"""

import asyncio
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import pytest

from parvis.adapters.store.store import SqlStore
from parvis.core.money import ZERO, Money
from parvis.domain.billing.transfer import REVENUE, WORLD_WRITE_OFF, tenant_account
from parvis.domain.metering.records import UsageRecord
from parvis.domain.quota.limit import Limits, Metric, Rate, SubjectLimits, Window
from parvis.testing.money_house import COST_MAX
from parvis.testing.money_processes import Part, answered_in
from parvis.testing.postgres import new_database, postgres
from parvis.testing.redis import redis_server
from parvis.testing.simulation import PRICES
from parvis.testing.store_suite import usage_record

GATEWAYS = 7
STORM_S = {"C": 5.0, "N": 600.0}
CALM_S_MAX = 30.0
KILL_INTERVAL_S = 0.4
SEED = 8
CREDIT = {"rich": Money(COST_MAX * 10**7), "poor": Money(COST_MAX * 500)}
BUDGET = Money(COST_MAX * 300)
RATE = Rate(Metric.REQUESTS, Window.MINUTE, 600)
CREDENTIALS = ("rich k", "rich rated", "rich budget", "poor k")
ORDER = {"do": "for_ever", "credentials": CREDENTIALS, "lines": 8, "pause_s": 0.04}


class Books(NamedTuple):
    """What is known when all is calm again."""

    rows: dict[str, UsageRecord]
    differences: list[str]
    balances: dict[str, Money]
    open_runs: list[str]


@pytest.fixture(scope="module")
def urls() -> Iterator[tuple[str, str]]:
    with postgres() as server, redis_server() as valkey:
        yield new_database(server), valkey


async def settle_in(url: str) -> None:
    store = SqlStore(url)
    await store.open()
    await store.create_organisation("o", "O")
    await store.add_prices(PRICES)
    for tenant_id, credit in CREDIT.items():
        await store.create_tenant(tenant_id, "o", "T", credit_unlimited=False)
        await store.credit(tenant_id, credit, f"order of {tenant_id}")
    await store.put_limits(SubjectLimits("key:budget", "o", "rich", Limits(monthly=BUDGET)))
    await store.put_limits(SubjectLimits("key:rated", "o", "rich", Limits((RATE,), concurrent_max=20)))
    await store.close()


async def blow(control: Part, gateways: list[Part], storm_s: float) -> int:
    """Kill one of them again and again, and start another in its place; how many were killed."""
    dice, killed, ends_s = random.Random(SEED), 0, time.monotonic() + storm_s
    restarting: dict[Part, asyncio.Task[None]] = {}
    while time.monotonic() < ends_s:
        await asyncio.sleep(dice.uniform(0, 2 * KILL_INTERVAL_S))
        part = dice.choice([control, *gateways])
        if part not in restarting or restarting[part].done():
            part.kill()
            killed += 1
            restarting[part] = asyncio.create_task(restart(part, serves=part is not control))
    await asyncio.gather(*restarting.values())
    return killed


async def restart(part: Part, *, serves: bool) -> None:
    await part.again()
    if serves:
        part.tell(ORDER)


async def calm(home: Path, control: Part, gateways: list[Part]) -> None:
    """Half of the gateways are killed, the others end in good order; control books what is left."""
    for gateway in gateways[::2]:
        gateway.kill()
    await asyncio.gather(*(gateway.end() for gateway in gateways[1::2]))
    async with asyncio.timeout(CALM_S_MAX):
        while any((home / "journal").iterdir()):  # noqa: ASYNC110 - another process empties it
            await asyncio.sleep(0.05)
    await control.end()


async def books_of(url: str) -> Books:
    store = SqlStore(url)
    await store.open()
    rows: dict[str, UsageRecord] = {}
    after: str | None = None
    while True:
        page = await store.requests(None, after, 1000)
        rows |= {record.started.request_id: record for record in page.records}
        if (after := page.after) is None:
            break
    accounts = [REVENUE, WORLD_WRITE_OFF, *map(tenant_account, CREDIT)]
    balances = {account: await store.balance(account) for account in accounts}
    books = Books(rows, await store.check(), balances, await store.open_incarnations())
    await store.close()
    return books


def wrong(answered: dict[str, tuple[int, ...]], books: Books) -> list[str]:
    """Where the books differ from what clients know, and from themselves."""
    lost = [name for name in answered if name not in books.rows]
    other = [
        name for name, tokens in answered.items() if name in books.rows and books.rows[name].settled.tokens != tokens
    ]
    billed = dict.fromkeys(CREDIT, ZERO)
    for started, settled in books.rows.values():
        billed[started.tenant_id] += Money(settled.billed_pico_euro)
    unequal = [
        f"{tenant_id}: {credit} ordered, {billed[tenant_id]} billed, {books.balances[tenant_account(tenant_id)]} left"
        for tenant_id, credit in CREDIT.items()
        if credit != billed[tenant_id] + books.balances[tenant_account(tenant_id)]
    ]
    budget = sum(one.settled.billed_pico_euro for one in books.rows.values() if one.started.key_id == "budget")
    over = [f"budget overrun: {budget}"] if budget > BUDGET.pico_euro else []
    found = [f"{name}: answered, not booked" for name in lost] + [f"{name}: booked otherwise" for name in other]
    return found + unequal + over + books.differences + books.open_runs


async def storm(home: Path, url: str, valkey: str, storm_s: float) -> tuple[list[str], Books, int]:
    await settle_in(url)
    control = Part("control", str(home), url, valkey)
    gateways: list[Part] = []
    try:
        await control.ready()
        gateways += [Part("gateway", str(home)) for _ in range(GATEWAYS)]
        await asyncio.gather(*(gateway.ready() for gateway in gateways))
        for gateway in gateways:
            gateway.tell(ORDER)
        killed = await blow(control, gateways, storm_s)
        await calm(home, control, gateways)
    finally:
        for part in (control, *gateways):
            part.kill()
    books = await books_of(url)
    return wrong(answered_in(home), books), books, killed


async def test_the_equation_holds_after_a_storm(
    tmp_path: Path, urls: tuple[str, str], level: Literal["C", "N"]
) -> None:
    found, books, killed = await storm(tmp_path / "home", *urls, STORM_S[level])
    outcomes = {one.settled.outcome for one in books.rows.values()}
    print(f"\nstorm: {killed} kills in {STORM_S[level]:.0f} s, {len(books.rows)} requests, {sorted(outcomes)}")
    assert found[:5] == []
    assert answered_in(tmp_path / "home")


async def test_control_of_the_oracle_whatever_is_altered_is_named(tmp_path: Path) -> None:
    [tenant] = [one for one in CREDIT if one == "poor"]
    row = usage_record(1, tenant)
    paid = {tenant_account(one): credit for one, credit in CREDIT.items()}
    paid[tenant_account(tenant)] -= Money(row.settled.billed_pico_euro)
    answered, sound = {"req_000001": tuple(row.settled.tokens)}, Books({"req_000001": row}, [], paid, [])
    assert wrong(answered, sound) == []
    assert wrong({"req_000001": (0, 0, 0, 0)}, sound) == ["req_000001: booked otherwise"]
    assert "req_000001: answered, not booked" in wrong(answered, sound._replace(rows={}))
    assert len(wrong(answered, sound._replace(balances=paid | {tenant_account("rich"): ZERO}))) == 1
