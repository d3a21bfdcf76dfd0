"""What every store promises of tiers and limits, as functions that take an open, empty store."""

# ruff: noqa: D103 - a promise's name is its sentence

from collections.abc import Awaitable, Callable
from dataclasses import replace

from parvis.core.money import Money
from parvis.domain.identity.notice import Notice, NoticeKind, NoticeTarget, TargetKind
from parvis.domain.identity.organisation import Exhaustion
from parvis.domain.identity.place import Target
from parvis.domain.quota.limit import (
    FIRST_TIERS,
    NO_LIMITS,
    Limits,
    Metric,
    Rate,
    SubjectLimits,
    Tier,
    Window,
    overlay,
)
from parvis.flows.store import Store
from parvis.testing.store_suite import settle_in

HUGE = Money(10**30 + 1)
"""More than any integer column keeps."""
SLOW = Rate(Metric.REQUESTS, Window.MINUTE, 60)
WIDE = Limits((SLOW, Rate(Metric.OUTPUT_TOKENS, Window.DAY, 10**12)), 4, HUGE, Money(1), (1, 50, 100))
NARROW = Limits(monthly=Money.euro(5))
TIER = Tier("gold", "Gold", "Né à Ürümqi", WIDE, 7, HUGE)
SOLD = replace(WIDE, priority=7)
"""What holds for a contract of this tier."""
OF_KEY = SubjectLimits("key:k1", "org", "limited", NARROW)
OF_ORGANISATION = SubjectLimits("organisation:org", "org", "", Limits((SLOW,)))


async def tiers_come_back_as_they_were_put(store: Store) -> None:
    assert await store.tiers() == []
    for tier in (*FIRST_TIERS, TIER):
        await store.put_tier(tier)
    other = replace(TIER, limits=NO_LIMITS, priority=0)
    await store.put_tier(other)
    assert await store.tiers() == sorted([*FIRST_TIERS, other], key=lambda tier: tier.tier_id)


async def limits_come_back_until_they_are_taken_away(store: Store) -> None:
    await settle_in(store)
    await store.put_limits(replace(OF_KEY, limits=WIDE))
    assert await store.limits_set(["key:k1", "key:k2"]) == {"key:k1": WIDE}
    await store.put_limits(OF_KEY)
    assert await store.limits_in_force(["key:k1"]) == {"key:k1": NARROW}
    await store.put_limits(replace(OF_KEY, limits=NO_LIMITS))
    assert await store.limits_set(["key:k1"]) == {}
    assert await store.limits_in_force() == {}
    assert await store.limits_page(None, None, 9) == []


async def a_contract_is_its_tier_but_for_what_was_agreed(store: Store) -> None:
    await settle_in(store)
    await store.put_tier(TIER)
    tenant = await store.tenant("limited")
    assert tenant is not None
    assert (tenant.tier_id, tenant.exhaustion) == ("", Exhaustion.CLIP)
    sold = replace(tenant, tier_id="gold", exhaustion=Exhaustion.REFUSE)
    await store.put_tenant(sold)
    assert await store.tenant("limited") == sold
    assert await store.limits_in_force(["contract:limited", "contract:unlimited"]) == {"contract:limited": SOLD}
    agreed = SubjectLimits("contract:limited", "org", "limited", NARROW)
    await store.put_limits(agreed)
    assert await store.limits_in_force() == {"contract:limited": overlay(SOLD, NARROW)}
    assert await store.limits_set(["contract:limited"]) == {"contract:limited": NARROW}
    await store.put_tenant(replace(sold, tier_id=""))
    assert await store.limits_in_force() == {"contract:limited": NARROW}
    await store.put_limits(replace(agreed, subject="contract:nobody"))
    assert list(await store.limits_in_force()) == ["contract:limited"]


async def gateways_learn_of_every_change_of_what_is_in_force(store: Store) -> None:
    await settle_in(store)
    await store.put_tier(TIER)

    async def told_of(change: Awaitable[None]) -> dict[str, Limits]:
        version = await store.directory_version()
        await change
        changes = await store.changes(version)
        assert changes.version > version
        assert (await store.changes(changes.version)).limits == ()
        return dict(changes.limits)

    assert await told_of(store.put_limits(OF_KEY)) == {"key:k1": NARROW}
    assert await told_of(store.put_limits(replace(OF_KEY, limits=NO_LIMITS))) == {"key:k1": NO_LIMITS}
    tenant = await store.tenant("limited")
    assert tenant is not None
    assert await told_of(store.put_tenant(replace(tenant, tier_id="gold"))) == {"contract:limited": SOLD}
    narrow = replace(NARROW, priority=TIER.priority)
    assert await told_of(store.put_tier(replace(TIER, limits=NARROW))) == {"contract:limited": narrow}
    assert await told_of(store.put_tenant(replace(tenant, tier_id=""))) == {"contract:limited": NO_LIMITS}
    agreed = SubjectLimits("contract:limited", "org", "limited", NARROW)
    assert await told_of(store.put_limits(agreed)) == {"contract:limited": NARROW}


async def limits_are_listed_where_they_lie(store: Store) -> None:
    await settle_in(store)
    elsewhere = SubjectLimits("tenant:unlimited", "org", "unlimited", NARROW)
    for one in (OF_KEY, OF_ORGANISATION, elsewhere):
        await store.put_limits(one)
    assert await store.limits_page(None, None, 2) == [OF_KEY, OF_ORGANISATION]
    assert await store.limits_page(None, OF_ORGANISATION.subject, 2) == [elsewhere]
    assert await store.limits_page([Target("org")], None, 9) == [OF_KEY, OF_ORGANISATION, elsewhere]
    assert await store.limits_page([Target("org", "limited")], None, 9) == [OF_KEY]
    assert await store.limits_page([Target("other"), Target("org", "unlimited")], None, 9) == [elsewhere]
    assert await store.limits_page([], None, 9) == []


async def who_wants_to_be_told_is_watched(store: Store) -> None:
    await settle_in(store)
    await store.put_tier(TIER)
    tenant = await store.tenant("limited")
    assert tenant is not None
    await store.put_tenant(replace(tenant, tier_id="gold"))
    for one in (OF_KEY, OF_ORGANISATION):
        await store.put_limits(one)
    contract = SubjectLimits("contract:limited", "org", "limited", SOLD)
    assert sorted(await store.limits_watched(), key=lambda one: one.subject) == [contract, OF_KEY]


async def an_amount_is_told_of_once(store: Store) -> None:
    await settle_in(store)
    target = NoticeTarget("ntt_1", "org", "limited", TargetKind.MAIL, "a@b.example", "fr", b"", 1)
    await store.add_target(target, 9)
    notice = Notice(
        "ntc_1", NoticeKind.BUDGET_REACHED, "org", "limited", "key:k1", "k", 5, None, 9, 5, HUGE.pico_euro, 3
    )
    assert await store.tell_threshold("key:k1", 202611, [Money(1), HUGE], [notice], 5) == 1
    again = replace(notice, notice_id="ntc_2", moment_unix_ms=6)
    assert await store.tell_threshold("key:k1", 202611, [HUGE], [again], 6) == 0
    assert await store.thresholds_told(202611) == {("key:k1", Money(1)), ("key:k1", HUGE)}
    assert await store.thresholds_told(202612) == set()
    assert await store.notices_page(None, None, 9) == [notice]
    assert [one[1:] for one in await store.dispatches_due(5, 9)] == [(notice, target)]
    assert await store.tell_threshold("key:k1", 202612, [HUGE], [again], 6) == 1


PROMISES: tuple[Callable[[Store], Awaitable[None]], ...] = (
    tiers_come_back_as_they_were_put,
    limits_come_back_until_they_are_taken_away,
    a_contract_is_its_tier_but_for_what_was_agreed,
    gateways_learn_of_every_change_of_what_is_in_force,
    limits_are_listed_where_they_lie,
    who_wants_to_be_told_is_watched,
    an_amount_is_told_of_once,
)
