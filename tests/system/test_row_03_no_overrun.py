"""Promise 3: no credit and no budget is overrun.

Eight gateways ask for ten thousand requests at once, and there is money for exactly one thousand. Purses, links,
journals, lending and the store are the real ones; engines answer at once.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from parvis.adapters.store.store import SqlStore
from parvis.core.money import ZERO, Money
from parvis.domain.quota.budget import LeaseAnswer
from parvis.domain.quota.limit import Limits, SubjectLimits
from parvis.flows.lending import Lender
from parvis.testing.money_house import COST_MAX, ControlHouse
from parvis.testing.money_processes import Part, control_in, gateways_in
from parvis.testing.postgres import new_database, postgres
from parvis.testing.simulation import PRICES

GATEWAYS = 8
GATEWAYS_OF_THE_CONTROL = 3
REQUESTS = 10_000
COVERED = 1_000
ROUNDS = {"C": 1, "N": 40}
ENOUGH = Money(COST_MAX * COVERED)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture(params=("sqlite", "postgresql"))
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return new_database(request.getfixturevalue("server"))


async def settle_in(control: ControlHouse, rounds: int) -> None:
    """For each round a tenant with credit for so many, and a key with a budget for so many."""
    store = control.store
    await store.create_organisation("o", "O")
    await store.add_prices(PRICES)
    for number in range(rounds):
        await store.create_tenant(f"t{number}", "o", "T", credit_unlimited=False)
        await store.credit(f"t{number}", ENOUGH, f"order {number}")
        await store.create_tenant(f"u{number}", "o", "U", credit_unlimited=True)
        await store.put_limits(SubjectLimits(f"key:b{number}", "o", f"u{number}", Limits(monthly=ENOUGH)))
    await control.announce()


async def storm(gateways: list[Part], credential: str, requests: int) -> Counter[str]:
    """All at once; how they ended."""
    order = {"do": "at_once", "credential": credential, "requests": requests // len(gateways)}
    ends: Counter[str] = Counter()
    for told in await asyncio.gather(*(gateway.ask(order) for gateway in gateways)):
        ends.update(told)
    return ends


async def rounds_of(home: Path, url: str, credentials: list[str]) -> tuple[list[Counter[str]], list[str], Counter[str]]:
    """How each round ended; what the books find wrong; what each tenant was billed."""
    async with control_in(home, SqlStore(url)) as control:
        await settle_in(control, len(credentials))
        async with gateways_in(home, GATEWAYS) as gateways:
            ends = [await storm(gateways, credential, REQUESTS) for credential in credentials]
        await control.booked_all()
        billed: Counter[str] = Counter()
        for credential in credentials:
            tenant_id = credential.partition(" ")[0]
            [total] = await control.store.usage(tenant_id)
            billed[tenant_id] = total.billed.pico_euro
        return ends, await control.store.check(), billed


def credentials_of(url: str, rounds: int) -> list[str]:
    """Of tenants with credit, and of keys with a budget; with every `make test` one of them on each store."""
    kinds = ("t{0} k", "u{0} b{0}") if rounds > 1 else ("u{0} b{0}",) if url.startswith("sqlite") else ("t{0} k",)
    return [kinds[number % len(kinds)].format(number) for number in range(rounds)]


async def test_ten_thousand_at_once_get_exactly_what_is_there(
    tmp_path: Path, url: str, level: Literal["C", "N"]
) -> None:
    started_s = time.monotonic()
    ends, differences, billed = await rounds_of(tmp_path / "home", url, credentials_of(url, ROUNDS[level]))
    took_s = time.monotonic() - started_s
    print(f"\nrow 3 on {url.partition(':')[0]}: {len(ends)} rounds in {took_s:.1f} s, the first {dict(ends[0])}")
    assert [one["served"] for one in ends] == [COVERED] * len(ends)
    assert set(billed.values()) == {ENOUGH.pico_euro}
    assert differences == []


async def test_control_to_read_and_then_to_write_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lend(self: Lender, account: str, run: str, need: Money, wanted: Money, ask: str) -> LeaseAnswer:
        left = await self._ledger.balance(account)
        await asyncio.sleep(0.01)
        granted = max(need, wanted) if need <= left else ZERO
        if granted > ZERO:
            await self._ledger.lend(account, run, granted, granted, ask)
        return LeaseAnswer(granted, left - granted)

    monkeypatch.setattr(Lender, "lend", lend)
    async with control_in(tmp_path / "home", SqlStore(f"sqlite:///{tmp_path}/store.db")) as control:
        await settle_in(control, 1)
        async with gateways_in(tmp_path / "home", GATEWAYS_OF_THE_CONTROL) as gateways:
            ends = await storm(gateways, "t0 k", 3 * COVERED)
        await control.booked_all()
        differences = await control.store.check()
    print(f"control of row 3: {dict(ends)}; {differences[:1]}")
    assert ends["served"] > COVERED
    assert differences != []
