"""The priority of a tier reaches the queue: over the link, through what is prepared of a key, into what is asked."""

from dataclasses import replace

from parvis.adapters.link.packing import pack_limits, unpack_limits
from parvis.domain.fleet.ask import Ask
from parvis.domain.fleet.fair_queue import Bounds, FairQueue, Full
from parvis.domain.identity.api_key import ApiKey, KeySecret
from parvis.domain.identity.organisation import Tenant
from parvis.domain.quota.limit import FIRST_TIERS, NO_LIMITS, Limits, overlay
from parvis.flows.prepared import PreparedKey, prepare

SECRET = KeySecret(b"digest", 1)


def prepared(tenant_id: str, contract: Limits | None) -> PreparedKey:
    key, tenant = (
        ApiKey("k", "org", tenant_id, "k", (SECRET,)),
        Tenant(tenant_id, "org", tenant_id, credit_unlimited=True),
    )
    told = {} if contract is None else {f"contract:{tenant_id}": unpack_limits(pack_limits(contract))}
    return prepare(key, SECRET, tenant, frozenset(), told.get)


def test_monthly_billing_goes_before_the_others() -> None:
    tiers = {tier.tier_id: replace(tier.limits, priority=tier.priority) for tier in FIRST_TIERS}
    keys = [prepared("none", None), *(prepared(tier_id, tiers[tier_id]) for tier_id in ("standard", "monthly"))]
    queue = FairQueue(Bounds())
    for one in keys:
        assert not isinstance(queue.join(Ask("pool", one.key.tenant_id, priority=one.priority), 0.0), Full)
    first = queue.turn()
    assert first is not None
    assert first.ask.tenant_id == "monthly"


def test_what_was_agreed_apart_leaves_the_priority_of_the_tier() -> None:
    sold, agreed = replace(NO_LIMITS, priority=3), Limits(concurrent_max=5)
    assert prepared("t", overlay(sold, agreed)).priority == 3
    assert prepared("t", overlay(NO_LIMITS, agreed)).priority == 0
