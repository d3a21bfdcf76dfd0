"""Limits as they are read: what was set, what holds in the end, which is met first, and how the month stands."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from parvis.core.clock import Clock
from parvis.core.money import ZERO, Money
from parvis.domain.billing.forecast import forecast
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.place import INSTALLATION
from parvis.domain.identity.principal import Principal
from parvis.domain.metering.buckets import UsageQuestion, Width, bucket_start
from parvis.domain.quota.budget import Spending, month_bounds_ms, month_of
from parvis.domain.quota.limit import NO_LIMITS, Level, Limits, SubjectLimits, Tier, subject
from parvis.domain.quota.limit_words import CONCURRENT, name_of
from parvis.flows.limit_store import LimitStore
from parvis.flows.limited import Limited, LimitedStore, find_limited
from parvis.flows.organisations import tenant_of, tenants_of
from parvis.flows.reach import tenants_reached
from parvis.flows.store import UsageStore

_UNUSED = Spending(ZERO, ZERO)


@dataclass(frozen=True, slots=True)
class LimitState:
    """What holds for one subject, and how its month stands."""

    limited: Limited
    limits: Limits
    """In force: of a contract those of its tier, but for what was agreed apart."""
    agreed: Limits
    """What was set on this subject itself."""
    tier: Tier | None
    """Of a contract."""
    month: int
    budget: Spending
    expected: Money
    """By the end of the month."""

    @property
    def left(self) -> Money | None:
        """What gateways can still lease of the month's limit; None without one. A limit that was lowered has 0."""
        if self.limits.monthly is None:
            return None
        return max(self.limits.monthly - self.budget.spent - self.budget.leased, ZERO)


@dataclass(frozen=True, slots=True)
class Tightest:
    """Of all limits of one kind that a request is inside, the one that it meets first."""

    name: str
    subject: str
    amount: int
    """Pico-euro that are left, of a month's money; else as it was set."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """How a tenant's month goes."""

    tenant_id: str
    month: int
    spent: Money
    expected: Money


async def limits_page(
    store: LimitStore, actor: Principal, after: str | None, limit: int
) -> tuple[list[SubjectLimits], str | None]:
    """What was set, in all places that the actor may read: the next ones after a subject, and the following cursor."""
    places = actor.places(Permission.LIMITS_READ)
    found = await store.limits_page(None if INSTALLATION in places else places, after, limit + 1)
    return found[:limit], found[limit - 1].subject if len(found) > limit else None


async def state_of(store: LimitedStore, clock: Clock, found: Limited) -> LimitState:
    """What holds for one subject, and how its month stands."""
    [state] = await _states(store, clock, [found])
    return state


async def states_around(store: LimitedStore, clock: Clock, key: ApiKey) -> list[LimitState]:
    """Of all subjects that the requests of a key are inside of, the widest first: those without limits too."""
    names = [
        (Level.CONTRACT, key.tenant_id),
        (Level.ORGANISATION, key.organisation_id),
        (Level.TENANT, key.tenant_id),
        (Level.PROJECT, key.project_id),
        (Level.USER, key.owner_id),
        (Level.KEY, key.key_id),
    ]
    found = [await find_limited(store, subject(level, one_id)) for level, one_id in names if one_id]
    return await _states(store, clock, [one for one in found if one is not None])


def tightest(states: Iterable[LimitState]) -> list[Tightest]:
    """Of each kind the limit that is met first, sorted by name."""
    found: dict[str, Tightest] = {}
    for state in states:
        for one in _amounts(state):
            if one.name not in found or one.amount < found[one.name].amount:
                found[one.name] = one
    return [found[name] for name in sorted(found)]


def _amounts(state: LimitState) -> Iterable[Tightest]:
    named, held = state.limited.subject, state.limits
    yield from (Tightest(name_of(rate), named, rate.amount) for rate in held.rates)
    if held.concurrent_max is not None:
        yield Tightest(CONCURRENT, named, held.concurrent_max)
    if state.left is not None:
        yield Tightest("monthly_left", named, state.left.pico_euro)


async def _states(store: LimitedStore, clock: Clock, found: Sequence[Limited]) -> list[LimitState]:
    now = clock.unix_ms()
    month = month_of(now)
    names = [one.subject for one in found]
    in_force, own = await store.limits_in_force(names), await store.limits_set(names)
    spending = await store.spending(names, month)
    tiers = {tier.tier_id: tier for tier in await store.tiers()}
    return [
        LimitState(
            one,
            in_force.get(one.subject, NO_LIMITS),
            own.get(one.subject, NO_LIMITS),
            tiers.get((await tenant_of(store, one.object_id)).tier_id) if one.level is Level.CONTRACT else None,
            month,
            spending.get(one.subject, _UNUSED),
            (await _month(store, now, await _question(store, one, now)))[1],
        )
        for one in found
    ]


# The month


async def forecasts(
    store: LimitedStore, clock: Clock, actor: Principal, after: str | None, limit: int
) -> tuple[list[Expectation], str | None]:
    """How the month goes for the next tenants after an id whose costs the actor may read; and the following cursor."""
    now = clock.unix_ms()
    reached = [tenant.tenant_id for tenant in await tenants_reached(store, actor, Permission.COSTS_READ)]
    rest = [tenant_id for tenant_id in reached if after is None or tenant_id > after]
    found = [
        Expectation(tenant_id, month_of(now), *await _month(store, now, this_month([tenant_id], now)))
        for tenant_id in rest[:limit]
    ]
    return found, found[-1].tenant_id if len(rest) > limit else None


async def _month(store: UsageStore, now_unix_ms: int, question: UsageQuestion) -> tuple[Money, Money]:
    """What was spent so far, and what the whole month will have cost: see `parvis.domain.billing.forecast`."""
    start, end = month_bounds_ms(month_of(now_unix_ms))
    buckets = {bucket.start_unix_ms: bucket for bucket in await store.usage_buckets(question)}
    days = range(start, now_unix_ms + 1, Width.DAY.ms)
    spent = [sum((t.billed for t in buckets[day].totals), ZERO) if day in buckets else ZERO for day in days]
    return sum(spent, ZERO), forecast(spent, now_unix_ms - start, end - start)


def this_month(tenant_ids: Sequence[str], now_unix_ms: int) -> UsageQuestion:
    """What these tenants have used in this month so far, day by day."""
    start, _ = month_bounds_ms(month_of(now_unix_ms))
    until = bucket_start(now_unix_ms, Width.DAY) + Width.DAY.ms
    return UsageQuestion(tenant_ids=tuple(tenant_ids), since_unix_ms=start, until_unix_ms=until)


async def _question(store: LimitedStore, one: Limited, now_unix_ms: int) -> UsageQuestion:
    """What counts for a subject. A key counts where it is now: for a project and a user, roll-ups know no other."""
    tenant_id, only = one.place.tenant_id, (one.object_id,)
    of_organisation = [t.tenant_id for t in await tenants_of(store, one.place.organisation_id)]
    asked = this_month([tenant_id] if tenant_id else of_organisation, now_unix_ms)
    match one.level:
        case Level.PROJECT:
            return replace(asked, project_ids=only)
        case Level.USER:
            return replace(asked, user_ids=only)
        case Level.KEY:
            return replace(asked, key_ids=only)
        case _:
            return asked
