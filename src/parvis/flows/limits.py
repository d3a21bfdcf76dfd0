"""Limits and tiers: who sets them on what.

That the permission reaches the place was checked at the door; what is checked here is what a permission alone does not
say: what a contract lets a tenant use is the operator's to decide, and nobody else's.
"""

import re
from dataclasses import replace

from parvis.core.errors import BadRequest, NotFound, NotPermitted
from parvis.core.money import Money
from parvis.domain.identity.organisation import Exhaustion, Tenant
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.domain.identity.principal import Principal
from parvis.domain.quota.limit import FIRST_TIERS, NO_LIMITS, Level, Limits, SubjectLimits, Tier
from parvis.domain.quota.limit_words import CONCURRENT, name_of
from parvis.flows.limit_store import LimitStore
from parvis.flows.limited import Limited, LimitedStore, limited
from parvis.flows.organisations import NAME_CHARS_MAX, tenant_of

RATE_MAX = 10**10
CONCURRENT_MAX = 10**6
PERCENTS_MAX = 10
PERCENT_MAX = 1_000
AMOUNT_MAX = Money.euro(9_000_000)
"""Of any amount that travels to gateways, where it has 64 bits."""
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


async def set_limits(store: LimitedStore, actor: Principal, named: str, wanted: Limits) -> Limited:
    """All limits of this subject are these from now on, at every gateway within a second. Again is no error.

    Raises NotFound, BadRequest for what cannot be, NotPermitted for a contract when the actor is not the operator.
    """
    found = await limited(store, named)
    if found.level is Level.CONTRACT:
        _demand_operator(actor)
    held = (await store.limits_set([named])).get(named, NO_LIMITS)
    if checked_limits(wanted) != held:
        await store.put_limits(limits_of_place(named, found.place, wanted))
    return found


async def clear_limits(store: LimitedStore, actor: Principal, named: str) -> Limited:
    """Nothing is set on this subject any more; wider limits go on holding. Raises as `set_limits` does."""
    return await set_limits(store, actor, named, NO_LIMITS)


def limits_of_place(named: str, place: Target, wanted: Limits) -> SubjectLimits:
    """As they are kept."""
    return SubjectLimits(named, place.organisation_id, place.tenant_id, wanted)


def checked_limits(wanted: Limits) -> Limits:
    """The limits as they are kept: percents mean nothing without a month's limit. Raises BadRequest."""
    for rate in wanted.rates:
        if rate.amount > RATE_MAX:
            raise BadRequest(f"A rate is at most {RATE_MAX}.", param=name_of(rate))
    if wanted.concurrent_max is not None and wanted.concurrent_max > CONCURRENT_MAX:
        raise BadRequest(f"At most {CONCURRENT_MAX} requests at a time can be said.", param=CONCURRENT)
    if any(amount is not None and amount > AMOUNT_MAX for amount in (wanted.monthly, wanted.monthly_notice)):
        raise BadRequest(f"An amount for a month is at most {AMOUNT_MAX}.", param="monthly_euro")
    percents = wanted.notice_percents
    if len(percents) > PERCENTS_MAX or not all(0 < percent <= PERCENT_MAX for percent in percents):
        raise BadRequest(
            f"Notice is given at up to {PERCENTS_MAX} shares of 1 to {PERCENT_MAX} percent.", param="notice_percents"
        )
    return wanted if wanted.monthly is not None else replace(wanted, notice_percents=NO_LIMITS.notice_percents)


# Tiers


async def tier_named(store: LimitStore, tier_id: str) -> Tier:
    """The tier of this id. Raises NotFound."""
    for tier in await store.tiers():
        if tier.tier_id == tier_id:
            return tier
    raise NotFound(f"There is no tier '{tier_id[:100]}'.", param="tier_id")


async def put_tier(store: LimitStore, tier: Tier) -> Tier:
    """Add it, or replace it for all its contracts, within a second. Raises BadRequest."""
    if not _ID.fullmatch(tier.tier_id):
        raise BadRequest("A tier's id has 1 to 64 small letters, digits, - and _, a letter or digit first.", param="id")
    for name in (tier.name, tier.name_fr):
        if not 0 < len(name) <= NAME_CHARS_MAX or not name.isprintable():
            raise BadRequest(f"A tier needs names of 1 to {NAME_CHARS_MAX} printable characters.", param="name")
    if tier.entry_credit > AMOUNT_MAX:
        raise BadRequest(f"An entry credit is at most {AMOUNT_MAX}.", param="entry_credit_euro")
    kept = replace(tier, limits=checked_limits(tier.limits))
    if kept not in await store.tiers():
        await store.put_tier(kept)
    return kept


async def first_tiers(store: LimitStore) -> None:
    """The published tiers, where there is none."""
    if not await store.tiers():
        for tier in FIRST_TIERS:
            await store.put_tier(tier)


async def set_contract(
    store: LimitedStore,
    actor: Principal,
    tenant_id: str,
    tier_id: str | None = None,
    exhaustion: Exhaustion | None = None,
) -> Tenant:
    """Another tier (empty: none), or another way with requests that may be more than what is left; None: as it is.

    Raises NotFound without the tenant or the tier, NotPermitted when the actor is not the operator.
    """
    _demand_operator(actor)
    before = await tenant_of(store, tenant_id)
    if tier_id:
        await tier_named(store, tier_id)
    after = replace(
        before,
        tier_id=before.tier_id if tier_id is None else tier_id,
        exhaustion=before.exhaustion if exhaustion is None else exhaustion,
    )
    if after != before:
        await store.put_tenant(after)
    return after


def _demand_operator(actor: Principal) -> None:
    if not actor.may(Permission.LIMITS_WRITE, INSTALLATION):
        raise NotPermitted("Only the operator decides what a contract lets a tenant use. Ask your operator for more.")
