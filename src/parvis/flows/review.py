"""Access review: who may do what since when and by whose grant; campaigns in which each right is kept or withdrawn.

Rights that are withdrawn are withdrawn through the stories that withdraw them everywhere. First that, then the
decision is kept: who dies in between finds the question still open, and answers it again.
"""

from contextlib import suppress
from dataclasses import dataclass, replace

from parvis.core.clock import Clock
from parvis.core.errors import BadRequest, Conflict, NotFound, NotPermitted
from parvis.core.ids import new_id
from parvis.domain.identity.access import Access, Census, Means, accesses, of_model, of_place, of_user, unused
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.person import Realm
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.domain.identity.principal import Principal
from parvis.domain.identity.review import (
    REASON_CHARS_MAX,
    Campaign,
    Decision,
    Item,
    is_own,
    items_of,
    may_decide,
)
from parvis.domain.identity.role import RULES, Level, Role, level_of
from parvis.flows.grants import realm_of, withdraw
from parvis.flows.keys import Mint, revoke_key, tenant_named
from parvis.flows.store import Store
from parvis.flows.witness import Witness

DAY_MS = 86_400_000
UNUSED_DAYS = 90
DAYS_MAX = 3660
NAME_CHARS_MAX = 100
_USES_AT_ONCE = 5000
_REVIEWERS = {
    Level.INSTALLATION: (Role.OPERATOR,),
    Level.ORGANISATION: (Role.ORGANISATION_OWNER,),
    Level.TENANT: (Role.TENANT_OWNER,),
}
"""Who decides when nobody says who."""


# Who may do what


async def census_of(store: Store, clock: Clock, organisation_id: str = "", *, operators: bool = False) -> Census:
    """All that access follows from, now: of everything, or of one organisation.

    `operators`: with the operator's own people, whose rights reach every place. Of everything they are always in it;
    customers are not shown them.
    """
    wanted = organisation_id or None
    keys = [key for key in await store.keys() if wanted in (None, key.organisation_id)]
    customers = store.people(Realm.CUSTOMER)
    people, grants = await customers.people(wanted), await customers.grants(organisation_id=wanted)
    if operators or not organisation_id:
        own = store.people(Realm.OPERATOR)
        people, grants = [*people, *await own.people()], [*grants, *await own.grants()]
    return Census(
        now_unix_ms=clock.unix_ms(),
        organisations=await store.organisations(),
        tenants=[tenant for tenant in await store.tenants() if wanted in (None, tenant.organisation_id)],
        people=people,
        grants=grants,
        keys=keys,
        uses=await _last_uses(store, [key.key_id for key in keys if key.active]),
    )


async def access_of(
    store: Store, clock: Clock, target: Target = INSTALLATION, user_id: str = "", *, operators: bool = False
) -> list[Access]:
    """Every right that reaches a place; of one person, if said. Sorted by place, kind and id."""
    found = of_place(accesses(await census_of(store, clock, target.organisation_id, operators=operators)), target)
    return of_user(found, user_id) if user_id else found


async def who_can_use(
    store: Store, clock: Clock, tenant_id: str, model: str, *, operators: bool = False
) -> list[Access]:
    """Who can use a model (by id or alias) in a tenant now: keys, and people who could make such a key.

    Raises NotFound for a tenant or a model that is not there.
    """
    tenant = await tenant_named(store, tenant_id)
    known = {name: entry for entry in await store.models() for name in (*entry.aliases, entry.id)}
    if model not in known:
        raise NotFound(f"The catalogue has no model '{model[:100]}'.", code="model_not_found", param="model")
    names = (known[model].id, *known[model].aliases)
    return of_model(await census_of(store, clock, tenant.organisation_id, operators=operators), tenant, names)


async def unused_keys(store: Store, clock: Clock, days: int, target: Target = INSTALLATION) -> list[Access]:
    """Keys of a place that were not used for so many days (or never, since they were made). Raises BadRequest."""
    if not 0 < days <= DAYS_MAX:
        raise BadRequest(f"'unused_days' must be 1 to {DAYS_MAX}.", param="unused_days")
    found = await access_of(store, clock, target)
    return unused(found, clock.unix_ms() - days * DAY_MS)


# Campaigns


@dataclass(frozen=True, slots=True)
class Plan:
    """A review as somebody wants it. Without reviewers: the owners of the place."""

    name: str
    target: Target
    due_unix_ms: int
    reviewers: tuple[Role, ...] = ()
    unused_days: int = UNUSED_DAYS
    """Keys that were not used for so many days are proposed for removal."""


async def open_campaign(store: Store, mint: Mint, actor: Principal, plan: Plan) -> Campaign:
    """Ask about every right that lies in a place. Raises BadRequest for a name, a day or reviewers that cannot be."""
    now = mint.clock.unix_ms()
    _check_plan(plan, now)
    idle = await unused_keys(store, mint.clock, plan.unused_days, plan.target)
    proposals = {access.object_id: f"unused for {plan.unused_days} days" for access in idle}
    campaign = Campaign(
        new_id("review", now, mint.randomness),
        plan.name.strip(),
        plan.target,
        plan.reviewers or _REVIEWERS[level_of(plan.target)],
        actor.name,
        now,
        plan.due_unix_ms,
    )
    found = await access_of(store, mint.clock, plan.target)
    await store.add_campaign(campaign, items_of(campaign, found, proposals))
    return campaign


async def campaigns_of(store: Store, actor: Principal) -> list[Campaign]:
    """Those that somebody may read, the newest first."""
    return [c for c in await store.campaigns() if actor.may(Permission.REVIEWS_READ, c.target)]


async def campaign_of(store: Store, review_id: str) -> Campaign:
    """Raises NotFound."""
    found = await store.campaign(review_id)
    if found is None:
        raise NotFound(f"There is no review '{review_id[:100]}'.", param="review_id")
    return found


async def items_page(
    store: Store,
    review_id: str,
    after: str | None,
    limit: int,
    decision: Decision | None = None,
    *,
    open_only: bool = False,
) -> tuple[list[Item], str | None]:
    """The next items after one, sorted by id; and what to say for the following page. Raises NotFound."""
    await campaign_of(store, review_id)
    found = await store.campaign_items(review_id, after, limit + 1, decision, open_only=open_only)
    return found[:limit], found[limit - 1].item_id if len(found) > limit else None


async def decide(  # noqa: PLR0913 - the four parts of an answer, and who gives it before whom
    store: Store,
    clock: Clock,
    actor: Principal,
    review_id: str,
    item_id: str,
    decision: Decision,
    reason: str,
    *,
    witness: Witness | None = None,
) -> Item:
    """Keep a right, or withdraw it, everywhere and at once. A kept one may be withdrawn later, while it is open.

    The witness writes what is withdrawn into the record of whose it is.

    Raises NotFound, BadRequest for a reason that is none, NotPermitted for who is no reviewer of it or decides about
    their own, Conflict when the campaign is closed, the right was withdrawn in it, or it is that of a last owner.
    """
    campaign = await campaign_of(store, review_id)
    item = await store.campaign_item(review_id, item_id)
    if item is None:
        raise NotFound(f"There is no item '{item_id[:100]}' in this review.", param="item_id")
    _check_decision(actor, campaign, item, reason)
    if decision is Decision.WITHDRAW:
        await _withdraw(store, actor, item.access, witness)
    decided = replace(
        item, decision=decision, reason=reason.strip(), decided_by=actor.name, decided_unix_ms=clock.unix_ms()
    )
    await store.decide_item(decided)
    return decided


async def close_campaign(store: Store, clock: Clock, review_id: str) -> Campaign:
    """No more decisions; what was not answered stays so, and is listed. Again is no error. Raises NotFound."""
    await store.close_campaign(review_id, clock.unix_ms())
    return await campaign_of(store, review_id)


async def _withdraw(store: Store, actor: Principal, access: Access, witness: Witness | None) -> None:
    """What is gone already is withdrawn."""
    is_key = access.means is Means.KEY

    async def doing() -> None:
        with suppress(NotFound):
            if is_key:
                await revoke_key(store, access.object_id)
            else:
                await withdraw(store, actor, access.object_id, realm_of(Role(access.what)))

    if witness is None:
        await doing()
    elif is_key:
        await witness.act("api_key.deleted", access.target, {"key_id": access.object_id}, doing)
    else:
        await witness.act("role.assignment.deleted", access.target, {"grant_id": access.object_id}, doing)


def _check_plan(plan: Plan, now_unix_ms: int) -> None:
    if not 0 < len(plan.name.strip()) <= NAME_CHARS_MAX or not plan.name.isprintable():
        raise BadRequest(f"A review needs a name of 1 to {NAME_CHARS_MAX} printable characters.", param="name")
    if not 0 < plan.due_unix_ms - now_unix_ms <= DAYS_MAX * DAY_MS:
        raise BadRequest("A review is due on a day to come, within ten years.", param="due_at")
    for role in plan.reviewers:
        if Permission.REVIEWS_WRITE not in RULES[role].permissions:
            raise BadRequest(f"'{role}' cannot decide: it lacks '{Permission.REVIEWS_WRITE}'.", param="reviewers")


def _check_decision(actor: Principal, campaign: Campaign, item: Item, reason: str) -> None:
    if not 0 < len(reason.strip()) <= REASON_CHARS_MAX or not reason.isprintable():
        raise BadRequest(f"Say why, in 1 to {REASON_CHARS_MAX} printable characters.", param="reason")
    if not may_decide(actor, campaign, item):
        roles = " or ".join(campaign.reviewers)
        raise NotPermitted(f"Who decides about this right has what the role '{roles}' gives, over its place.")
    if is_own(actor, item):
        raise NotPermitted("Somebody else decides about your own rights.")
    if campaign.closed_unix_ms is not None:
        raise Conflict("This review is closed. Withdraw the right by itself, or open another review.")
    if item.decision is Decision.WITHDRAW:
        raise Conflict("This right was withdrawn in this review already.")


async def _last_uses(store: Store, key_ids: list[str]) -> dict[str, int]:
    """When each key was last used, by whichever of its secrets."""
    latest: dict[str, int] = {}
    for start in range(0, len(key_ids), _USES_AT_ONCE):
        for use in await store.uses(key_ids[start : start + _USES_AT_ONCE]):
            latest[use.key_id] = max(use.last_unix_ms, latest.get(use.key_id, 0))
    return latest
