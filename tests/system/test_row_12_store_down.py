"""Promise 12, for money and rates: a store that is down is a defined state.

Control, the store behind it and the server of rates stop, freeze, become slow or are cut off, again and again. What a
gateway does meanwhile is the table of docs/reference/failures.md. Afterwards nothing is overrun and nothing lost.
"""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from parvis.adapters.limits.valkey import ValkeyRates
from parvis.adapters.store.store import SqlStore
from parvis.core.money import Money
from parvis.core.secret import Secret
from parvis.core.tokens import TokenCount
from parvis.domain.billing.transfer import tenant_account
from parvis.domain.quota.limit import Limits, Metric, Rate, SubjectLimits, Window
from parvis.testing.money_house import COST_MAX, INPUT, OUTPUT, ControlHouse, GatewayHouse
from parvis.testing.money_processes import answered_in
from parvis.testing.planted_bugs import fails_open
from parvis.testing.postgres import new_database, postgres
from parvis.testing.redis import redis_server
from parvis.testing.simulation import PRICES
from parvis.testing.valve import Address, Trouble, Valve

ROUNDS = {"C": 3, "N": 100}
PARTS = ("control", "store", "rates")
TROUBLES = (Trouble.STOPPED, Trouble.FROZEN, Trouble.SLOW, Trouble.CUT_OFF)
LEASE_S_MAX, TRADE_S_MAX = 2.5, 1.25
"""Shorter than in life, so that waiting in vain a hundred times takes no day; but all cells share a core."""
HEALED_S_MAX = 10.0
CREDIT = Money(COST_MAX * 10**6)
BEYOND = 3
"""Requests beyond the lease."""
RATE = Rate(Metric.REQUESTS, Window.MINUTE, 5)
NO_COST, WHOLE = TokenCount(), TokenCount(INPUT, 0, 0, OUTPUT)


class Urls(NamedTuple):
    store: str
    valkey: Path


class Seen(NamedTuple):
    """What one gateway did while something was away."""

    money: str
    """Beyond its lease: served, or refused."""
    rates: str
    """Asked of their owner, or divided."""


TABLE: dict[tuple[str, Trouble], Seen] = {
    ("control", Trouble.SLOW): Seen("served", "asked"),
    ("store", Trouble.SLOW): Seen("served", "asked"),
    ("rates", Trouble.SLOW): Seen("served", "asked"),
    **{("control", one): Seen("refused", "divided") for one in TROUBLES if one is not Trouble.SLOW},
    **{("store", one): Seen("refused", "asked") for one in TROUBLES if one is not Trouble.SLOW},
    **{("rates", one): Seen("served", "divided") for one in TROUBLES if one is not Trouble.SLOW},
}


class Street(NamedTuple):
    """One gateway, one control, and a valve before each part that may be away."""

    home: Path
    name: str
    gateway: GatewayHouse
    control: ControlHouse
    valves: dict[str, Valve]


@pytest.fixture(scope="module")
def urls() -> Iterator[Urls]:
    with postgres() as server, redis_server() as valkey:
        yield Urls(server, Path(valkey.removeprefix("unix://")))


def names(cells: list[tuple[str, Trouble]]) -> list[str]:
    return [f"{part}-{trouble.replace(' ', '-')}" for part, trouble in cells]


async def settle_in(url: str, streets: list[str], rounds: int) -> None:
    """For each street a tenant, and for each of its rounds a key with a rate."""
    store = SqlStore(url)
    await store.open()
    await store.create_organisation("o", "O")
    await store.add_prices(PRICES)
    for name in streets:
        for tenant_id in (name, f"{name}-rated"):
            await store.create_tenant(tenant_id, "o", "T", credit_unlimited=False)
            await store.credit(tenant_id, CREDIT, f"order of {tenant_id}")
        for number in ("first", *range(rounds)):
            limits = SubjectLimits(f"key:{name}-{number}", "o", f"{name}-rated", Limits((RATE,)))
            await store.put_limits(limits)
    await store.close()


def make_way(home: Path) -> None:
    """A home for control, and in it one for a gateway that finds another socket, and the same journals."""
    (home / "gateway" / "run").mkdir(parents=True)
    for place in ("journal", "answered"):
        (home / "gateway" / place).symlink_to(home / place)


def copy_of(url: str, name: str) -> str:
    """Another database with the same in it."""
    server, _, database = url.rpartition("/")
    copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(database))
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(copy)
    return f"{server}/{name}"


@asynccontextmanager
async def street(home: Path, name: str, urls: Urls) -> AsyncIterator[Street]:
    """Ready to serve; at the end everything is booked."""
    url = make_url(urls.store)
    to: dict[str, Address] = {
        "control": home / "run" / "control.sock",
        "store": (url.host or "", url.port or 0),
        "rates": urls.valkey,
    }
    valves = {part: Valve(address) for part, address in to.items()}
    make_way(home)
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(valves["store"].at())
        await stack.enter_async_context(valves["rates"].at(home / "rates.sock"))
        rates = ValkeyRates(Secret(f"unix://{home}/rates.sock", "valkey"))
        stack.push_async_callback(rates.close)
        store = SqlStore(url.set(port=port).render_as_string(hide_password=False))
        control = ControlHouse(home, store, rates)
        await control.begin()
        stack.push_async_callback(control.end)
        await stack.enter_async_context(valves["control"].at(home / "gateway" / "run" / "control.sock"))
        gateway = GatewayHouse(home / "gateway", asyncio.get_running_loop())
        tasks = await gateway.begin()
        yield Street(home, name, gateway, control, valves)
        await gateway.end(tasks)
        await control.booked_all()


async def serve(gateway: GatewayHouse, credential: str, tokens: TokenCount, count: int) -> Counter[str]:
    """So many at once, and how they ended."""
    return Counter(await asyncio.gather(*(gateway.serve(credential, tokens) for _ in range(count))))


async def round_of(here: Street, part: str, trouble: Trouble, number: int) -> list[str]:
    """Trouble begins, requests come, it ends; where what was seen is not the table."""
    gateway, name = here.gateway, here.name
    await serve(gateway, f"{name} k", NO_COST, 2)
    await serve(gateway, f"{name}-rated k", NO_COST, 2 * RATE.amount + 2)
    here.valves[part].turn(trouble)
    covered = gateway.purse.lease(tenant_account(name)).free_pico_euro() // COST_MAX
    money, rates = await asyncio.gather(
        serve(gateway, f"{name} k", WHOLE, covered + BEYOND),
        serve(gateway, f"{name}-rated {name}-{number}", NO_COST, 2 * RATE.amount),
    )
    divided = gateway.throttle.divided
    here.valves[part].turn(Trouble.NONE)
    expected = TABLE[part, trouble]
    seen = Seen("served" if money["served"] == covered + BEYOND else "refused", "divided" if divided else "asked")
    wrong = [f"{name}: {seen} by {dict(money)}, and {expected} in the table"] if seen != expected else []
    if money["served"] < covered:
        wrong.append(f"{name}: {covered} covered by the lease, {money}")
    if rates["served"] != RATE.amount:
        wrong.append(f"{name}: {RATE.amount} allowed, {rates}")
    return wrong or await healed(here)


async def healed(here: Street) -> list[str]:
    """Money beyond any lease is served again, and the owner of rates is asked again."""
    ends_s = time.monotonic() + HEALED_S_MAX
    while time.monotonic() < ends_s:
        free = here.gateway.purse.lease(tenant_account(here.name)).free_pico_euro() // COST_MAX
        ended = await serve(here.gateway, f"{here.name} k", NO_COST, free + 1)
        if ended["served"] == free + 1 and not here.gateway.throttle.divided:
            return []
        await asyncio.sleep(0.1)
    return [f"{here.name}: not healed within {HEALED_S_MAX} s"]


async def taught(here: Street) -> None:
    """The gateway knows how many share the limits."""
    first = f"{here.name}-rated {here.name}-first"
    for _ in range(20):
        if (await serve(here.gateway, first, NO_COST, 1))["served"]:
            return
        await asyncio.sleep(0.1)


async def cell(home: Path, urls: Urls, part: str, trouble: Trouble, rounds: int) -> list[str]:
    [name] = names([(part, trouble)])
    async with street(home / name, name, urls) as here:
        await taught(here)
        return [one for number in range(rounds) for one in await round_of(here, part, trouble, number)]


async def books(url: str, homes: list[Path]) -> list[str]:
    """What is wrong when all is booked."""
    store = SqlStore(url)
    await store.open()
    wrong = await store.check() + await store.open_incarnations()
    for name in [name for home in homes for name in answered_in(home)]:
        if await store.request(name) is None:
            wrong.append(f"{name}: answered, not booked")
    await store.close()
    return wrong


async def table(home: Path, urls: Urls, cells: list[tuple[str, Trouble]], rounds: int) -> list[str]:
    """All cells side by side: they mostly wait. A store that freezes keeps its locks, and so has its own database."""
    shared = new_database(urls.store)
    await settle_in(shared, names(cells), rounds)
    where = {
        one: copy_of(shared, name) if one[0] == "store" else shared
        for one, name in zip(cells, names(cells), strict=True)
    }
    found = await asyncio.gather(*(cell(home, urls._replace(store=where[one]), *one, rounds) for one in cells))
    wrong = [one for some in found for one in some]
    for url in set(where.values()):
        wrong += await books(url, [home / name for name in names([one for one in cells if where[one] == url])])
    return wrong


@pytest.fixture
def place() -> Iterator[Path]:
    """Short: the path of a socket has 107 characters at most."""
    with tempfile.TemporaryDirectory(prefix="parvis-") as name:
        yield Path(name)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parvis.adapters.link.gateway_side.LEASE_S_MAX", LEASE_S_MAX)
    monkeypatch.setattr("parvis.adapters.link.rates.TRADE_S_MAX", TRADE_S_MAX)
    monkeypatch.setattr("parvis.testing.money_house.TEND_S", 3600.0)  # leases stay as they are while we look


async def test_what_a_gateway_does_meanwhile_is_the_table(place: Path, urls: Urls, level: Literal["C", "N"]) -> None:
    started_s = time.monotonic()
    cells = [(part, trouble) for part in PARTS for trouble in TROUBLES]
    wrong = await table(place, urls, cells, ROUNDS[level])
    print(f"\nrow 12: {len(cells)} cells, {ROUNDS[level]} times each in {time.monotonic() - started_s:.1f} s")
    print(*wrong, sep="\n")
    assert wrong == []


async def test_control_money_that_is_open_is_noticed(place: Path, urls: Urls, monkeypatch: pytest.MonkeyPatch) -> None:
    fails_open(monkeypatch)
    wrong = await table(place, urls, [("control", Trouble.STOPPED)], 1)
    print(f"control of row 12: {wrong[:2]}")
    assert any("in the table" in one for one in wrong)
    assert any("set aside" in one for one in wrong)
