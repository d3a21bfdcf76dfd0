"""Limits as stories: who sets them on what, what holds around a key, how the month stands, and who is told of it."""

import os
from dataclasses import replace
from functools import partial
from itertools import count

import pytest

from parvis.adapters.store.store import SqlStore
from parvis.core.clock import Clock, SystemClock
from parvis.core.errors import BadRequest, NotFound, NotPermitted
from parvis.core.money import ZERO, Money
from parvis.domain.billing.transfer import tenant_account
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.notice import NoticeKind
from parvis.domain.identity.organisation import Exhaustion
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.person import Realm
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import Kind, Principal, operator, rights_of
from parvis.domain.identity.role import Grant, Role
from parvis.domain.metering.records import Started, UsageRecord
from parvis.domain.quota.budget import month_bounds_ms
from parvis.domain.quota.limit import FIRST_TIERS, NO_LIMITS, Limits, Metric, Rate, Window
from parvis.flows.first_start import first_start
from parvis.flows.grants import grant
from parvis.flows.keys import KeyTerms, Mint, create_key, tenant_named
from parvis.flows.limit_states import forecasts, limits_page, state_of, states_around, tightest
from parvis.flows.limited import find_limited, limited, place_to_limit
from parvis.flows.limits import AMOUNT_MAX, clear_limits, put_tier, set_contract, set_limits
from parvis.flows.money_notices import LOW_PERCENT, tell_of_budgets, tell_of_low_credit
from parvis.flows.organisations import Office, create_project
from parvis.flows.people import create_person
from parvis.testing.store_suite import COST, PRICES, usage_record

OPERATOR = operator()
FIVE = Limits(monthly=COST * 5)
MINUTE = Limits((Rate(Metric.REQUESTS, Window.MINUTE, 60),))
RUN = "run"
NOW_UNIX_S = 1_784_000_000


@pytest.fixture
async def key(store: SqlStore, mint: Mint) -> ApiKey:
    """A key in a project, of a user, in tenant `lab` of organisation `acme`."""
    await store.create_organisation("acme", "Acme")
    for tenant_id in ("lab", "prod"):
        await store.create_tenant(tenant_id, "acme", tenant_id.title(), credit_unlimited=tenant_id == "lab")
    await store.add_prices(PRICES)
    project = await create_project(Office(store, mint.clock, mint.randomness), "lab", "Search", "search")
    person = await create_person(store, mint, Realm.CUSTOMER, "acme", "ada@acme.example", "Ada")
    terms = KeyTerms(project_id=project.project_id, owner_id=person.user_id)
    return (await create_key(store, mint, await tenant_named(store, "lab"), "backend", terms=terms)).key


async def spend(store: SqlStore, clock: Clock, key: ApiKey, numbers: range) -> None:
    """So many requests of this key, a `COST` each."""
    await store.lend(tenant_account(key.tenant_id), RUN, COST * 100, COST * 100, f"ask{numbers}")
    found = [usage_record(number, key.tenant_id, started_unix_ms=clock.unix_ms()) for number in numbers]
    records = [UsageRecord(used_by(key, record.started), record.settled) for record in found]
    assert await store.ingest(RUN, numbers.stop, records) == len(numbers)


def used_by(key: ApiKey, started: Started) -> Started:
    started = started._replace(key_id=key.key_id, organisation_id=key.organisation_id)
    return started._replace(project_id=key.project_id, owner_id=key.owner_id)


class LaterAndLater(SystemClock):
    """The clock of these tests, a second later whenever it is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self._seconds = count(NOW_UNIX_S)

    def unix_ms(self) -> int:
        return next(self._seconds) * 1000


def holder(role: Role, *place: str) -> Principal:
    held = Grant("g", "u", role, Target(*place), "somebody", 0)
    return Principal("user u", Kind.USER, "u", place[0] if place else "", rights_of([held]))


# ---------------------------------------------------------------------------------------------- what is limited


async def test_each_subject_is_found_where_it_lies(store: SqlStore, key: ApiKey) -> None:
    lab = Target("acme", "lab")
    for named, name, place in (
        ("contract:lab", "Lab", lab),
        ("organisation:acme", "Acme", Target("acme")),
        ("tenant:lab", "Lab", lab),
        ("project:search", "Search", lab),
        (f"user:{key.owner_id}", "Ada", Target("acme")),
        (f"key:{key.key_id}", "backend", lab),
    ):
        found = await limited(store, named)
        assert (found.subject, found.name, found.place) == (named, name, place)
        assert await find_limited(store, f"{named}x") is None
    for nothing in ("", "key", "key:", "colour:red"):
        with pytest.raises(NotFound):
            await limited(store, nothing)


async def test_a_user_is_limited_by_who_reaches_all_that_they_have(store: SqlStore, mint: Mint, key: ApiKey) -> None:
    found = await limited(store, f"user:{key.owner_id}")
    assert await place_to_limit(store, found) == Target("acme", "lab")
    await grant(store, mint, OPERATOR, key.owner_id, Role.DEVELOPER, Target("acme", "prod"))
    assert await place_to_limit(store, found) == Target("acme")


# -------------------------------------------------------------------------------------------------- setting them


async def test_what_is_set_holds_until_it_is_cleared(store: SqlStore, key: ApiKey) -> None:
    named = f"key:{key.key_id}"
    await set_limits(store, OPERATOR, named, FIVE)
    version = await store.directory_version()
    await set_limits(store, OPERATOR, named, FIVE)
    assert await store.directory_version() == version  # again is no change
    assert await store.limits_in_force([named]) == {named: FIVE}
    await clear_limits(store, OPERATOR, named)
    assert await store.limits_in_force([named]) == {}


@pytest.mark.parametrize("role", [Role.ORGANISATION_OWNER, Role.TENANT_OWNER])
async def test_a_contract_is_the_operators(store: SqlStore, key: ApiKey, role: Role) -> None:
    owner = holder(role, "acme", *(["lab"] if role is Role.TENANT_OWNER else []))
    assert owner.may(Permission.LIMITS_WRITE, Target("acme", "lab"))
    for refused in (
        set_limits(store, owner, "contract:lab", NO_LIMITS),
        clear_limits(store, owner, "contract:lab"),
        set_contract(store, owner, "lab", "", Exhaustion.REFUSE),
    ):
        with pytest.raises(NotPermitted, match="Only the operator"):
            await refused
    await set_limits(store, owner, "tenant:lab", FIVE)
    assert list(await store.limits_in_force()) == ["tenant:lab"]


async def test_what_cannot_be_is_refused(store: SqlStore, key: ApiKey) -> None:
    for wrong, param in (
        (Limits((Rate(Metric.REQUESTS, Window.DAY, 10**11),)), "requests_per_day"),
        (Limits(concurrent_max=10**7), "concurrent_requests"),
        (Limits(monthly=AMOUNT_MAX + Money(1)), "monthly_euro"),
        (Limits(monthly=COST, notice_percents=(0,)), "notice_percents"),
    ):
        with pytest.raises(BadRequest) as refused:
            await set_limits(store, OPERATOR, "tenant:lab", wrong)
        assert refused.value.param == param
    assert await store.limits_page(None, None, 9) == []


async def test_a_new_key_has_its_limits_before_anybody_knows_it(store: SqlStore, mint: Mint, key: ApiKey) -> None:
    version = await store.directory_version()
    terms = KeyTerms(limits=FIVE)
    made = (await create_key(store, mint, await tenant_named(store, "lab"), "small", terms=terms)).key
    changes = await store.changes(version)
    assert changes.limits == ((f"key:{made.key_id}", FIVE),)
    with pytest.raises(BadRequest):
        await create_key(store, mint, await tenant_named(store, "lab"), "", terms=terms)
    assert len(await store.limits_page(None, None, 9)) == 1


async def test_a_contract_has_the_limits_of_its_tier_but_for_what_was_agreed(store: SqlStore, key: ApiKey) -> None:
    gold = replace(FIRST_TIERS[0], tier_id="gold")
    await put_tier(store, gold)
    with pytest.raises(NotFound):
        await set_contract(store, OPERATOR, "lab", "silver")
    tenant = await set_contract(store, OPERATOR, "lab", "gold", Exhaustion.REFUSE)
    assert (tenant.tier_id, tenant.exhaustion) == ("gold", Exhaustion.REFUSE)
    await set_limits(store, OPERATOR, "contract:lab", FIVE)
    state = await state_of(store, store._clock, await limited(store, "contract:lab"))
    assert (state.tier, state.agreed) == (gold, FIVE)
    assert (state.limits.rates, state.limits.monthly) == (gold.limits.rates, FIVE.monthly)


async def test_a_first_start_makes_the_published_tiers_once(store: SqlStore, mint: Mint) -> None:
    await first_start(store, mint, [])
    await put_tier(store, replace(FIRST_TIERS[0], name="Other"))
    await first_start(store, mint, [])
    found = {tier.tier_id: tier.name for tier in await store.tiers()}
    assert found == {tier.tier_id: tier.name for tier in FIRST_TIERS} | {FIRST_TIERS[0].tier_id: "Other"}


# ------------------------------------------------------------------------------------------------- reading them


async def test_around_a_key_everything_is_shown_and_the_tightest(store: SqlStore, mint: Mint, key: ApiKey) -> None:
    own, project = f"key:{key.key_id}", "project:search"
    await set_limits(store, OPERATOR, "organisation:acme", replace(MINUTE, monthly=COST * 100))
    await set_limits(store, OPERATOR, project, FIVE)
    await set_limits(store, OPERATOR, own, Limits((Rate(Metric.REQUESTS, Window.MINUTE, 6),), monthly=COST * 50))
    await spend(store, mint.clock, key, range(1, 3))
    states = await states_around(store, mint.clock, key)
    levels = ["contract", "organisation", "tenant", "project", "user", "key"]
    assert [state.limited.level for state in states] == levels
    assert {state.budget.spent for state in states} == {COST * 2}
    found = {one.name: (one.subject, one.amount) for one in tightest(states)}
    assert found == {"requests_per_minute": (own, 6), "monthly_left": (project, (COST * 3).pico_euro)}
    await set_limits(store, OPERATOR, project, Limits(monthly=COST))
    lowered = await state_of(store, mint.clock, await limited(store, project))
    assert lowered.left == ZERO


async def test_limits_are_listed_as_far_as_somebody_may_read(store: SqlStore, key: ApiKey) -> None:
    for named in ("organisation:acme", "tenant:lab", "tenant:prod"):
        await set_limits(store, OPERATOR, named, FIVE)

    async def seen(who: Principal) -> list[str]:
        found, following = await limits_page(store, who, None, 9)
        assert following is None
        return [one.subject for one in found]

    assert await seen(holder(Role.DEVELOPER, "acme", "lab")) == ["tenant:lab"]
    assert await seen(holder(Role.AUDITOR, "acme")) == ["organisation:acme", "tenant:lab", "tenant:prod"]
    assert await seen(holder(Role.OPERATOR)) == ["organisation:acme", "tenant:lab", "tenant:prod"]
    assert await seen(holder(Role.MEMBER, "acme")) == []
    assert (await limits_page(store, OPERATOR, None, 1))[1] == "organisation:acme"


async def test_the_month_is_forecast_for_subjects_and_for_tenants(store: SqlStore, mint: Mint, key: ApiKey) -> None:
    await spend(store, mint.clock, key, range(1, 8))
    now = mint.clock.unix_ms()
    start, end = month_bounds_ms(202607)
    lately = now - (start + 7 * 86_400_000)  # it is the fourteenth: since the eighth
    expected = COST * 7 + Money((COST * 7).pico_euro * (end - now) // lately)
    assert (await state_of(store, mint.clock, await limited(store, "project:search"))).expected == expected
    assert (await state_of(store, mint.clock, await limited(store, "tenant:prod"))).expected == ZERO
    [lab, prod], _ = await forecasts(store, mint.clock, holder(Role.BILLING_READER, "acme"), None, 9)
    assert (lab.tenant_id, lab.spent, lab.expected) == ("lab", COST * 7, expected)
    assert (prod.tenant_id, prod.spent, prod.expected) == ("prod", ZERO, ZERO)


# ------------------------------------------------------------------------------------------------------ notices


async def told(store: SqlStore) -> list[tuple[str, str, int | None, int | None]]:
    found = await store.notices_page(None, None, 99)
    return [(one.subject, one.tenant_id, one.amount_pico_euro, one.limit_pico_euro) for one in reversed(found)]


async def test_notice_of_a_budget_is_given_once_for_each_amount(store: SqlStore, mint: Mint, key: ApiKey) -> None:
    named = f"key:{key.key_id}"
    clock = LaterAndLater()
    tell = partial(tell_of_budgets, store, clock, os.urandom)
    await set_limits(store, OPERATOR, named, replace(FIVE, monthly_notice=COST * 2, notice_percents=(80, 100)))
    await spend(store, mint.clock, key, range(1, 2))
    assert await tell() == 0
    await spend(store, mint.clock, key, range(2, 3))
    assert [await tell(), await tell()] == [1, 0]
    await spend(store, mint.clock, key, range(3, 6))
    assert [await tell(), await tell()] == [1, 0]  # of 4 and of 5 at once: of 5
    two, five, ten = ((COST * times).pico_euro for times in (2, 5, 10))
    assert await told(store) == [(named, "lab", two, two), (named, "lab", five, five)]
    await set_limits(store, OPERATOR, named, Limits(monthly=COST * 10, notice_percents=(50, 100)))
    assert await tell() == 0  # a half of ten is five again
    await spend(store, mint.clock, key, range(6, 11))
    assert await tell() == 1
    assert (await told(store))[-1] == (named, "lab", ten, ten)


async def test_a_budget_of_an_organisation_is_told_to_all_of_its_tenants(
    store: SqlStore, mint: Mint, key: ApiKey
) -> None:
    await set_limits(store, OPERATOR, "organisation:acme", Limits(monthly_notice=COST))
    await set_limits(store, OPERATOR, f"user:{key.owner_id}", Limits(monthly_notice=COST))
    await spend(store, mint.clock, key, range(1, 2))
    assert await tell_of_budgets(store, mint.clock, os.urandom) == 3
    found = sorted((subject.partition(":")[0], tenant) for subject, tenant, *_ in await told(store))
    assert found == [("organisation", "lab"), ("organisation", "prod"), ("user", "lab")]


async def test_low_credit_is_told_once_for_each_order(store: SqlStore, mint: Mint, key: ApiKey) -> None:
    tell = partial(tell_of_low_credit, store, mint.clock, os.urandom)
    own = replace(key, tenant_id="prod", project_id="", owner_id="", key_id="0" * 16)
    await store.credit("prod", COST * 10, "order-1")
    assert await tell() == 0
    await store.lend(tenant_account("prod"), RUN, COST * 10, COST * 10, "ask")
    await spend(store, mint.clock, own, range(1, 8))
    await store.return_lease(RUN)
    assert await tell() == 0  # three tenths are left
    await store.lend(tenant_account("prod"), "run2", COST * 3, COST * 3, "ask2")
    record = usage_record(9, "prod", started_unix_ms=mint.clock.unix_ms())
    await store.ingest("run2", 1, [record._replace(started=record.started._replace(organisation_id="acme"))])
    await store.return_lease("run2")
    assert [await tell(), await tell()] == [1, 0]
    [notice] = await store.notices_page(None, None, 9)
    left, last = COST * 2, COST * 10
    assert left.pico_euro * 100 == last.pico_euro * LOW_PERCENT
    assert (notice.kind, notice.tenant_id, notice.amount_pico_euro) == (
        NoticeKind.CREDIT_LOW,
        "prod",
        left.pico_euro,
    )
    await store.credit("prod", last, "order-2")
    assert await tell() == 0
