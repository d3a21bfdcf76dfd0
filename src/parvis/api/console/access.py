"""Who may do what in the caller's places, and its review: `/v1/access`, `/v1/reviews`."""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from parvis.api.console.desk import ConsoleDesk, TheDesk
from parvis.api.web.admission import checked_place
from parvis.api.web.answers import Listed
from parvis.api.web.answers_access import Access as AccessShown
from parvis.api.web.answers_access import Review, ReviewItem
from parvis.api.web.instants import read_instant
from parvis.api.web.queries import PageQuery
from parvis.api.web.review_forms import DecisionForm, ItemsQuery, item_shape, review_shape
from parvis.api.web.routes import TheActor, lies_in
from parvis.api.web.shapes import Json, listing, page
from parvis.core.errors import BadRequest
from parvis.domain.identity.access import Access
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import Principal
from parvis.domain.identity.review import Campaign, Decision
from parvis.domain.identity.role import Role
from parvis.flows.access_report import access_facts
from parvis.flows.reach import place_of
from parvis.flows.review import (
    UNUSED_DAYS,
    Plan,
    access_of,
    campaign_of,
    campaigns_of,
    close_campaign,
    decide,
    items_page,
    open_campaign,
    unused_keys,
    who_can_use,
)

Name = Annotated[str, Field(max_length=200)]


class AccessQuery(PageQuery):
    """Which rights: of a tenant or of all that the caller reviews; of one person, to one model, or of idle keys."""

    tenant_id: Name | None = None
    user_id: Name | None = None
    model: Name | None = None
    unused_days: int | None = Field(default=None, ge=1, le=3660)

    def check(self) -> None:
        """Raises BadRequest for questions that are not asked together."""
        if sum(one is not None for one in (self.user_id, self.model, self.unused_days)) > 1:
            raise BadRequest("Ask by 'user_id', by 'model' or by 'unused_days', one at a time.", param="model")


class ReviewForm(BaseModel):
    """A review that somebody wants. Without reviewers, the owners of the place decide."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    tenant_id: Name | None = None
    due_at: str
    reviewers: list[Role] = Field(default=[], max_length=10)
    unused_days: int = UNUSED_DAYS


async def access(
    desk: TheDesk, actor: TheActor, query: Annotated[AccessQuery, Query()]
) -> Annotated[Json, Listed[AccessShown]]:
    """Every right that reaches a place: who, what, since when, by whose grant, when last used."""
    query.check()
    target = await _target(desk, actor, query.tenant_id, Permission.REVIEWS_READ)
    if query.model is not None:
        if not target.tenant_id:
            raise BadRequest("Who can use a model is asked of one tenant. Say which.", param="tenant_id")
        found = await who_can_use(desk.store, desk.clock, target.tenant_id, query.model)
    elif query.unused_days is not None:
        found = await unused_keys(desk.store, desk.clock, query.unused_days, target)
    else:
        found = await access_of(desk.store, desk.clock, target, query.user_id or "")
    return page(sorted(found, key=_cursor), _cursor, access_facts, query.after, query.limit)


async def all_reviews(
    desk: TheDesk, actor: TheActor, query: Annotated[PageQuery, Query()]
) -> Annotated[Json, Listed[Review]]:
    """Campaigns that the caller may read, sorted by id: the oldest first."""
    found = sorted(await campaigns_of(desk.store, actor), key=lambda one: one.review_id)
    rest = [one for one in found if query.after is None or one.review_id > query.after]
    shown, more = rest[: query.limit], len(rest) > query.limit
    return listing([await _shown(desk, one) for one in shown], shown[-1].review_id if more else None)


async def open_review(request: Request, desk: TheDesk, actor: TheActor, form: ReviewForm) -> Annotated[Json, Review]:
    """Ask about every right in a place."""
    target = await _target(desk, actor, form.tenant_id, Permission.REVIEWS_WRITE)
    lies_in(request, target)
    due = read_instant(form.due_at, "due_at") or 0
    plan = Plan(form.name, target, due, tuple(form.reviewers), form.unused_days)
    return await _shown(desk, await open_campaign(desk.store, desk.mint, actor, plan))


async def one_review(desk: TheDesk, review_id: str) -> Annotated[Json, Review]:
    """One campaign, and how far it has come."""
    return await _shown(desk, await campaign_of(desk.store, review_id))


async def items(
    desk: TheDesk, review_id: str, query: Annotated[ItemsQuery, Query()]
) -> Annotated[Json, Listed[ReviewItem]]:
    """The rights of a campaign, sorted by id."""
    found, following = await items_page(
        desk.store, review_id, query.after, query.limit, query.decision, open_only=query.undecided
    )
    return listing([item_shape(item) for item in found], following)


async def answer(
    desk: TheDesk, actor: TheActor, review_id: str, item_id: str, form: DecisionForm
) -> Annotated[Json, ReviewItem]:
    """Keep a right, or withdraw it everywhere and at once."""
    decided = await decide(desk.store, desk.clock, actor, review_id, item_id, form.decision, form.reason)
    if form.decision is Decision.WITHDRAW:
        await desk.announce()
    return item_shape(decided)


async def close(desk: TheDesk, review_id: str) -> Annotated[Json, Review]:
    """No more decisions."""
    return await _shown(desk, await close_campaign(desk.store, desk.clock, review_id))


def _cursor(one: Access) -> str:
    return f"{one.means}:{one.object_id}"


async def _shown(desk: ConsoleDesk, campaign: Campaign) -> Json:
    return review_shape(campaign, await desk.store.campaign_tally(campaign.review_id), desk.clock.unix_ms())


async def _target(desk: ConsoleDesk, actor: Principal, tenant_id: str | None, permission: Permission) -> Target:
    """The place that is meant: without a tenant, all of the caller's right if it is one place.

    Raises NotFound, NotPermitted, BadRequest when it must be said.
    """
    if tenant_id is not None:
        tenant = await desk.store.tenant(tenant_id)
        return checked_place(actor, permission, None if tenant is None else place_of(tenant))
    places = actor.places(permission)
    if len(places) != 1:
        raise BadRequest("Say of which tenant: you have several.", param="tenant_id")
    return places[0]
