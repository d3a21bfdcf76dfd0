"""Classes of contracts, and who has which: `/v1/tiers` and `/v1/tenants/{tenant_id}/contract`."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from parvis.api.operator.desk import TheDesk
from parvis.api.web.answers import Listed, Tenant
from parvis.api.web.answers_limits import Tier as TierShown
from parvis.api.web.limit_shapes import Euro, LimitsForm, tier_shape
from parvis.api.web.places import installation, tenant_place
from parvis.api.web.routes import Route, TheActor
from parvis.api.web.shapes import Json, listing, tenant_shape
from parvis.core.money import Money
from parvis.domain.identity.organisation import Exhaustion
from parvis.domain.identity.permission import Permission as May
from parvis.domain.quota.limit import Tier
from parvis.flows.limits import put_tier, set_contract, tier_named

PRIORITY_MAX = 100
Name = Annotated[str, Field(max_length=300)]


class TierForm(BaseModel):
    """A class of contracts, as a whole."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    name_fr: Name | None = None
    limits: LimitsForm = LimitsForm()
    priority: Annotated[StrictInt, Field(ge=0, le=PRIORITY_MAX)] = 0
    entry_credit_euro: Euro = "0"

    def tier(self, tier_id: str) -> Tier:
        """Raises BadRequest."""
        name_fr = self.name if self.name_fr is None else self.name_fr
        return Tier(
            tier_id, self.name, name_fr, self.limits.limits(), self.priority, Money.euro(self.entry_credit_euro)
        )


class ContractForm(BaseModel):
    """What is to be different. An empty `tier_id` is no tier."""

    model_config = ConfigDict(extra="forbid")
    tier_id: Name | None = None
    exhaustion: Exhaustion | None = None


async def all_tiers(desk: TheDesk) -> Annotated[Json, Listed[TierShown]]:
    """All tiers, sorted by id."""
    return listing([tier_shape(tier) for tier in await desk.store.tiers()])


async def one(desk: TheDesk, tier_id: str) -> Annotated[Json, TierShown]:
    """One tier."""
    return tier_shape(await tier_named(desk.store, tier_id))


async def put(desk: TheDesk, tier_id: str, form: TierForm) -> Annotated[Json, TierShown]:
    """Add a tier, or replace it for all contracts of it, at every gateway within a second."""
    kept = await put_tier(desk.store, form.tier(tier_id))
    await desk.announce()
    return tier_shape(kept)


async def contract(desk: TheDesk, actor: TheActor, tenant_id: str, form: ContractForm) -> Annotated[Json, Tenant]:
    """Another tier, or what becomes of requests that may be more than what is left: `clip` or `refuse`."""
    changed = await set_contract(desk.store, actor, tenant_id, form.tier_id, form.exhaustion)
    await desk.announce()
    return tenant_shape(changed)


_TIER = "/v1/tiers/{tier_id}"
ROUTES = (
    Route("GET", "/v1/tiers", all_tiers, May.LIMITS_READ, target=installation),
    Route("GET", _TIER, one, May.LIMITS_READ, target=installation),
    Route("PUT", _TIER, put, May.LIMITS_WRITE, target=installation, action="tier.updated"),
    Route(
        "PUT",
        "/v1/tenants/{tenant_id}/contract",
        contract,
        May.LIMITS_WRITE,
        target=tenant_place,
        action="tenant.contract_updated",
    ),
)
