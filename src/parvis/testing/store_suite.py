"""What every store promises, as functions that take an open, empty store (`parvis.flows.store.Store`).

`PROMISES` lists those that need nothing but the port. `DAMAGE` is what a hand may do to the rows behind a
store's back, with the words that `check` must then say; it is for stores that speak SQL.
"""

# ruff: noqa: D103, PLR2004 - a promise's name is its sentence, and a number in it is the expectation

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from parvis.core.errors import BadRequest, Conflict, NotFound
from parvis.core.money import ZERO, Money
from parvis.core.tokens import TokenCount
from parvis.domain.billing.price import PriceList, cost
from parvis.domain.billing.transfer import (
    REVENUE,
    WORLD_ALLOWANCE,
    WORLD_WRITE_OFF,
    lease_account,
    tenant_account,
)
from parvis.domain.catalog.model import AutoCandidate, AutoPolicy, Capability, Model, ModelState, Track
from parvis.domain.identity.api_key import ApiKey, KeySecret
from parvis.domain.identity.organisation import Tenant
from parvis.domain.identity.scope import KeyScope
from parvis.domain.metering.records import Operation, Outcome, Settled, Started, UsageRecord
from parvis.domain.metering.totals import DAY_MS, UsageTotal
from parvis.flows.store import Store

NOON_UNIX_MS = 20_000 * DAY_MS + DAY_MS // 2
"""A moment of 2024-10-04."""
SECRETS = (KeySecret(bytes(range(32)), 2_000), KeySecret(b"\xff" * 32, 1_000, 9_000))
PRICES = PriceList("p1", "*", 0, 90, 9, 300, 400)
TOKENS = TokenCount(100, 50, 20, 3)
COST = cost(TOKENS, PRICES)


async def settle_in(store: Store) -> None:
    """One organisation; tenant `limited`, and tenant `unlimited` whose credit never ends; one price list."""
    await store.create_organisation("org", "Organisation")
    await store.create_tenant("limited", "org", "Limited", credit_unlimited=False)
    await store.create_tenant("unlimited", "org", "Unlimited", credit_unlimited=True)
    await store.add_prices(PRICES)


def usage_record(
    number: int, tenant_id: str = "limited", *, started_unix_ms: int = NOON_UNIX_MS, written_off: Money = ZERO
) -> UsageRecord:
    """A finished request that cost `COST`; odd numbers are streamed and estimated."""
    odd = number % 2 == 1
    started = Started(
        request_id=f"req_{number:06d}",
        organisation_id="org",
        tenant_id=tenant_id,
        key_id=f"key{number % 3}",
        model_id="model",
        operation=Operation.CHAT,
        replica_id="replica",
        price_version=PRICES.version,
        held_pico_euro=COST.pico_euro,
        streamed=odd,
        started_unix_ms=started_unix_ms,
    )
    billed = COST - written_off
    return UsageRecord(
        started,
        Settled(
            started.request_id,
            Outcome.COMPLETED,
            TOKENS,
            odd,
            billed.pico_euro,
            written_off.pico_euro,
            12,
            345,
        ),
    )


async def lent(store: Store, tenant_id: str, run: str, amount: Money, ask: str) -> Money:
    """What a run gets that needs all of this amount of a tenant's credit."""
    return (await store.lend(tenant_account(tenant_id), run, amount, amount, ask)).granted


# ------------------------------------------------------------------------------------------------- identity


async def tenants_belong_to_organisations(store: Store) -> None:
    await settle_in(store)
    assert [replace(tenant, created_unix_ms=0) for tenant in await store.tenants()] == [
        Tenant("limited", "org", "Limited", credit_unlimited=False),
        Tenant("unlimited", "org", "Unlimited", credit_unlimited=True),
    ]
    with pytest.raises(Conflict):
        await store.create_organisation("org", "Again")
    with pytest.raises(Conflict):
        await store.create_tenant("limited", "org", "Again", credit_unlimited=True)
    with pytest.raises(NotFound):
        await store.create_tenant("new", "nobody", "New", credit_unlimited=True)
    with pytest.raises(BadRequest):
        await store.create_tenant("a:b", "org", "Colon", credit_unlimited=True)


async def keys_come_back_as_they_were(store: Store) -> None:
    await settle_in(store)
    key = ApiKey("k1", "org", "limited", "Ünïcode 'name'", SECRETS, KeyScope(("a", "b*"), ("bb",)), created_unix_ms=1)
    await store.add_key(key)
    assert await store.keys() == [key]
    with pytest.raises(Conflict):
        await store.add_key(replace(key, tenant_id="unlimited"))
    with pytest.raises(NotFound):
        await store.add_key(replace(key, key_id="k2", organisation_id="other"))


async def a_revoked_key_stays_revoked(store: Store) -> None:
    await settle_in(store)
    key = ApiKey("k1", "org", "limited", "", SECRETS)
    await store.add_key(key)
    await store.revoke_key("k1")
    await store.revoke_key("k1")
    assert await store.keys() == [replace(key, active=False)]
    with pytest.raises(NotFound):
        await store.revoke_key("k2")


# ------------------------------------------------------------------------------------------------ catalogue


async def models_come_back_as_they_were(store: Store) -> None:
    plain = Model(id="b", engine="e", engine_model="m", context_tokens=4096, capabilities=(Capability.CHAT,))
    rich = Model(
        id="a",
        engine="e",
        engine_model="m",
        context_tokens=2**33,
        capabilities=(Capability.EMBEDDINGS, Capability.RERANK),
        state=ModelState.DEPRECATED,
        track=Track.EXPERIMENTAL,
        aliases=("x", "ÿ"),
        parameters=671_000_000_000,
        long_term_support=True,
        successor="b",
        control_tokens=("<|im_start|>", '"'),
        begins_in_reasoning=True,
    )
    candidates = AutoCandidate("a", 0.25), AutoCandidate("b")
    choosing = replace(plain, id="c", auto=AutoPolicy(candidates, language="fr", answer_tokens=9))
    await store.put_model(plain)
    await store.put_model(choosing)
    await store.put_model(rich)
    assert await store.models() == [rich, plain, choosing]
    await store.put_model(replace(rich, state=ModelState.RETIRED))
    assert await store.model("a") == replace(rich, state=ModelState.RETIRED)
    assert await store.model("x") is None


async def prices_are_only_appended(store: Store) -> None:
    later = replace(PRICES, version="p2", valid_from_unix_ms=NOON_UNIX_MS)
    own = replace(PRICES, model_id="model", input_microeuro_per_mtoken=10**15, audio_pico_euro_per_minute=10**10)
    for prices in (later, PRICES, own, PRICES):
        await store.add_prices(prices)
    assert await store.prices() == [PRICES, own, later]
    with pytest.raises(Conflict):
        await store.add_prices(replace(PRICES, output_microeuro_per_mtoken=1))
    assert await store.prices() == [PRICES, own, later]


# --------------------------------------------------------------------------------------------------- ledger


async def credit_comes_once_for_each_reference(store: Store) -> None:
    await settle_in(store)
    amount = Money.euro("20000000.000000000001")  # beyond 64 bits in pico-euro
    for _ in range(2):
        await store.credit("limited", amount, "order-1")
    assert await store.balance(tenant_account("limited")) == amount
    assert await store.balance(WORLD_ALLOWANCE) == ZERO - amount
    for tenant_id, other in (("limited", Money(1)), ("unlimited", amount)):
        with pytest.raises(Conflict):
            await store.credit(tenant_id, other, "order-1")
    with pytest.raises(NotFound):
        await store.credit("nobody", amount, "order-2")
    with pytest.raises(BadRequest):
        await store.credit("limited", ZERO, "order-2")
    assert await store.check() == []


async def a_lease_covers_the_need_or_is_none(store: Store) -> None:
    await settle_in(store)
    account = tenant_account("limited")
    assert await store.lend(account, "run", Money(5), Money(5), "g0") == (ZERO, ZERO)
    await store.credit("limited", Money(8), "order")
    for _ in range(2):
        assert await store.lend(account, "run", Money(5), Money(90), "g1") == (Money(5), Money(3))
    assert await store.lend(account, "run", Money(5), Money(5), "g2") == (ZERO, Money(3))
    assert await store.lend(account, "run", Money(3), Money(3), "g3") == (Money(3), ZERO)
    assert await store.balance(lease_account("limited", "run")) == Money(8)
    with pytest.raises(Conflict):
        await store.lend(account, "other-run", Money(5), Money(5), "g1")
    with pytest.raises(NotFound):
        await store.lend(tenant_account("nobody"), "run", Money(5), Money(5), "g4")
    for need, wanted in ((ZERO, ZERO), (Money(-1), Money(5))):
        with pytest.raises(BadRequest):
            await store.lend(account, "run", need, wanted, "g5")
    assert await store.check() == []


async def unlimited_credit_is_filled_from_the_allowance(store: Store) -> None:
    await settle_in(store)
    await store.credit("unlimited", Money(3), "order")
    for _ in range(2):
        assert await lent(store, "unlimited", "run", Money(10), "g1") == Money(10)
    assert await store.balance(tenant_account("unlimited")) == ZERO
    assert await store.balance(WORLD_ALLOWANCE) == Money(-10)
    assert await store.check() == []


async def leases_at_once_never_overrun(store: Store) -> None:
    await settle_in(store)
    await store.credit("limited", Money(100), "order")
    asked = [lent(store, "limited", f"run{n % 4}", Money(3), f"g{n}") for n in range(60)]
    granted = [amount.pico_euro for amount in await asyncio.gather(*asked)]
    assert sorted(granted) == [0] * 27 + [3] * 33
    assert await store.balance(tenant_account("limited")) == Money(1)
    assert await store.check() == []


async def the_same_ask_at_once_is_one(store: Store) -> None:
    await settle_in(store)
    await store.credit("limited", Money(100), "order")
    asked = [lent(store, "limited", "run", Money(3), "same") for _ in range(20)]
    assert set(await asyncio.gather(*asked)) == {Money(3)}
    assert await store.balance(lease_account("limited", "run")) == Money(3)


async def a_request_is_booked_once(store: Store) -> None:
    await settle_in(store)
    await lent(store, "unlimited", "run", COST * 10, "g1")
    some = [usage_record(n, "unlimited") for n in range(4)]
    assert await store.ingest("run", 7, some) == 4
    assert await store.ingest("run", 7, some) == 0
    assert await store.ingest("run", 5, [*some, usage_record(4, "unlimited"), usage_record(4, "unlimited")]) == 1
    assert await store.ingest("other-run", 1, some) == 0
    assert await store.position("run") == 7
    assert await store.position("unknown") == 0
    assert await store.balance(lease_account("unlimited", "run")) == COST * 5
    assert await store.balance(REVENUE) == COST * 5
    assert await store.check() == []


async def the_same_batch_at_once_is_booked_once(store: Store) -> None:
    await settle_in(store)
    await lent(store, "unlimited", "run", COST * 50, "g1")
    some = [usage_record(n, "unlimited") for n in range(50)]
    fresh = await asyncio.gather(*(store.ingest("run", 50, some) for _ in range(6)))
    assert sum(fresh) == 50
    assert await store.balance(REVENUE) == COST * 50
    assert await store.check() == []


async def a_write_off_is_the_operators_loss(store: Store) -> None:
    await settle_in(store)
    await lent(store, "unlimited", "run", COST, "g1")
    await store.ingest("run", 1, [usage_record(1, "unlimited", written_off=Money(40))])
    assert await store.balance(WORLD_WRITE_OFF) == Money(-40)
    assert await store.balance(lease_account("unlimited", "run")) == Money(40)
    assert await store.balance(REVENUE) == COST
    assert await store.check() == []


async def leases_return_once_and_for_good(store: Store) -> None:
    await settle_in(store)
    await store.credit("limited", Money(100), "order")
    await lent(store, "limited", "run", Money(60), "g1")
    await lent(store, "unlimited", "run", Money(7), "g2")
    await lent(store, "limited", "other-run", Money(30), "g3")
    assert await store.open_incarnations() == ["other-run", "run"]
    assert [await store.return_lease("run") for _ in range(2)] == [Money(67), ZERO]
    assert await store.balance(tenant_account("limited")) == Money(70)
    assert await store.balance(tenant_account("unlimited")) == Money(7)
    assert await store.balance(lease_account("limited", "run")) == ZERO
    assert await store.open_incarnations() == ["other-run"]
    for grant_id in ("g1", "g4"):
        with pytest.raises(Conflict):
            await lent(store, "limited", "run", Money(1), grant_id)
    assert await store.check() == []


async def a_run_that_never_asked_can_be_closed(store: Store) -> None:
    await settle_in(store)
    assert await store.return_lease("run") == ZERO
    assert await store.open_incarnations() == []
    with pytest.raises(Conflict):
        await lent(store, "unlimited", "run", Money(1), "g1")


# ---------------------------------------------------------------------------------------------------- usage


async def _three_days(store: Store) -> list[UsageRecord]:
    """Nine requests an eight-hour apart, of two tenants."""
    await settle_in(store)
    await store.credit("limited", COST * 9, "order")
    for tenant_id in ("limited", "unlimited"):
        await lent(store, tenant_id, "run", COST * 9, f"grant-{tenant_id}")
    some = [
        usage_record(n, "unlimited" if n % 3 else "limited", started_unix_ms=NOON_UNIX_MS + n * DAY_MS // 3)
        for n in range(9)
    ]
    for position, record in enumerate(some, 1):
        await store.ingest("run", position, [record])
    return some


def _total(group: tuple[str, ...], requests: int, estimated: int) -> UsageTotal:
    tokens = TokenCount(*(count * requests for count in TOKENS))
    return UsageTotal(group, requests, tokens, COST * requests, ZERO, estimated)


async def usage_is_summed_by_what_is_asked(store: Store) -> None:
    await _three_days(store)
    assert await store.usage(None) == [_total((), 9, 4)]
    assert await store.usage("nobody") == [_total((), 0, 0)]
    assert await store.usage(None, ("tenant",)) == [
        _total(("limited",), 3, 1),
        _total(("unlimited",), 6, 3),
    ]
    assert await store.usage("limited", ("day", "key")) == [
        _total(("2024-10-04", "key0"), 1, 0),
        _total(("2024-10-05", "key0"), 1, 1),
        _total(("2024-10-06", "key0"), 1, 0),
    ]
    assert [total.requests for total in await store.usage(None, ("model", "day"))] == [2, 3, 3, 1]


async def usage_of_any_span_is_exact(store: Store) -> None:
    """Whole days are summed from roll-ups, other spans from requests; both agree with counting by hand."""
    some = await _three_days(store)
    days = [20_000 * DAY_MS, 20_001 * DAY_MS, 20_003 * DAY_MS]
    spans = [
        *pairwise(days),
        (NOON_UNIX_MS, NOON_UNIX_MS + DAY_MS),
        (None, days[1] + 1),
        (NOON_UNIX_MS + 1, None),
    ]
    for since, until in spans:
        inside = [r for r in some if (since or 0) <= r.started.started_unix_ms < (until or 2**62)]
        [total] = await store.usage(None, (), since, until)
        assert total == _total((), len(inside), sum(r.settled.estimated for r in inside))


async def requests_come_newest_first_in_pages(store: Store) -> None:
    some = await _three_days(store)
    seen: list[UsageRecord] = []
    after: str | None = None
    while not seen or after:
        page = await store.requests(None, after, 4)
        seen += page.records
        after = page.after
    assert seen == some[::-1]
    mine = await store.requests("limited")
    assert (list(mine.records), mine.after) == (
        [r for r in some[::-1] if r.started.tenant_id == "limited"],
        None,
    )
    for cursor, limit in (("strange", 5), ("1", 5), (None, 0), (None, 10**6)):
        with pytest.raises(BadRequest):
            await store.requests(None, cursor, limit)


async def a_request_comes_back_as_it_was(store: Store) -> None:
    some = await _three_days(store)
    assert [await store.request(r.started.request_id) for r in some] == some
    assert await store.request("unknown") is None


# ---------------------------------------------------------------------------------------------------- vault


async def the_first_data_key_wins(store: Store) -> None:
    await settle_in(store)
    assert await store.data_key("limited", "answers") is None
    offered = [bytes([n]) * 60 for n in range(8)]
    kept = await asyncio.gather(*(store.put_data_key("limited", "answers", 1, key) for key in offered))
    assert len(set(kept)) == 1
    assert await store.data_key("limited", "answers") == kept[0]
    assert await store.put_data_key("limited", "answers", 2, b"rewrapped") == (2, b"rewrapped")
    assert await store.data_key("limited", "answers") == (2, b"rewrapped")
    with pytest.raises(NotFound):
        await store.put_data_key("nobody", "answers", 1, b"")


async def destroyed_data_keys_are_gone(store: Store) -> None:
    await settle_in(store)
    for tenant_id in ("limited", "unlimited"):
        await store.put_data_key(tenant_id, "answers", 1, tenant_id.encode())
    await store.destroy_data_keys("limited")
    assert await store.data_key("limited", "answers") is None
    assert await store.data_key("unlimited", "answers") == (1, b"unlimited")


PROMISES: tuple[Callable[[Store], Awaitable[None]], ...] = (
    tenants_belong_to_organisations,
    keys_come_back_as_they_were,
    a_revoked_key_stays_revoked,
    models_come_back_as_they_were,
    prices_are_only_appended,
    credit_comes_once_for_each_reference,
    a_lease_covers_the_need_or_is_none,
    unlimited_credit_is_filled_from_the_allowance,
    leases_at_once_never_overrun,
    the_same_ask_at_once_is_one,
    a_request_is_booked_once,
    the_same_batch_at_once_is_booked_once,
    a_write_off_is_the_operators_loss,
    leases_return_once_and_for_good,
    a_run_that_never_asked_can_be_closed,
    usage_is_summed_by_what_is_asked,
    usage_of_any_span_is_exact,
    requests_come_newest_first_in_pages,
    a_request_comes_back_as_it_was,
    the_first_data_key_wins,
    destroyed_data_keys_are_gone,
)

# --------------------------------------------------------------------------------------------------- damage


async def books_to_damage(store: Store, before_last: Callable[[], Awaitable[object]] | None = None) -> None:
    """Books in which every table has something to alter; they are right until somebody does."""
    await _three_days(store)
    if before_last is not None:
        await before_last()
    await store.ingest("run", 10, [usage_record(10, "unlimited", written_off=Money(1))])
    assert await store.check() == []


DAMAGE: dict[str, str] = {
    "UPDATE accounts SET balance = '1' WHERE account = 'revenue'": "all balances together",
    "UPDATE accounts SET balance = '1' WHERE account = 'tenant:limited'": "account tenant:limited",
    "UPDATE accounts SET world = true, balance = '-1' WHERE account = 'tenant:limited'": "account tenant:limited",
    "UPDATE transfers SET amount = '1' WHERE kind = 'settle' AND reference = 'req_000000'": "request req_000000",
    "UPDATE transfers SET amount = '1' WHERE kind = 'grant'": "account lease:limited:run",
    "DELETE FROM transfers WHERE kind = 'write_off'": "request req_000010",
    "UPDATE usage SET billed = '1' WHERE request_id = 'req_000000'": "request req_000000",
    "UPDATE usage SET input = input + 1 WHERE request_id = 'req_000000'": "request req_000000",
    "UPDATE usage SET price_version = 'p9' WHERE request_id = 'req_000000'": "request req_000000",
    "DELETE FROM usage WHERE request_id = 'req_000000'": "roll-up tenant_id=limited",
    "DELETE FROM usage WHERE request_id = 'req_000003'": "request req_000003",
    "UPDATE incarnations SET returned_unix_ms = 1": "account lease:limited:run: its run has ended",
    "UPDATE budgets SET spent = '1' WHERE subject = 'key:key0'": "budget key:key0",
    "UPDATE budgets SET leased = '1' WHERE subject = 'tenant:limited'": "budget tenant:limited",
    "DELETE FROM budgets WHERE subject = 'contract:limited'": "budget contract:limited",
    "UPDATE prices SET cached_microeuro_per_mtoken = 10": "request req_000010",
    "UPDATE rollups SET requests = requests + 1 WHERE tenant_id = 'limited'": "roll-up tenant_id=limited",
    "UPDATE rollups SET billed = '1' WHERE tenant_id = 'limited'": "roll-up tenant_id=limited",
    "DELETE FROM rollups WHERE tenant_id = 'limited'": "roll-up tenant_id=limited",
}
