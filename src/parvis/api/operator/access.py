"""Who may do what: `/v1/access`, `/v1/reviews`, and the key that reports are signed with, `/v1/signing_key`."""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from parvis.api.operator.answers_access import AccessReport, SigningKey
from parvis.api.operator.desk import OperatorDesk, TheDesk
from parvis.api.operator.witness import TheWitness
from parvis.api.web.answers import Listed
from parvis.api.web.answers_access import Access as AccessShown
from parvis.api.web.answers_access import Review, ReviewItem
from parvis.api.web.instants import read_instant
from parvis.api.web.queries import PageQuery
from parvis.api.web.review_forms import DecisionForm, ItemsQuery, item_shape, review_shape
from parvis.api.web.routes import TheActor
from parvis.api.web.shapes import Json, listing, page
from parvis.core.errors import BadRequest
from parvis.domain.identity.access import Access
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.domain.identity.review import Campaign, Decision
from parvis.domain.identity.role import Role
from parvis.domain.vault.signed_document import ALGORITHM
from parvis.flows import review
from parvis.flows.access_report import access_facts, access_report
from parvis.flows.organisations import organisation_of, tenant_of
from parvis.flows.signing import installation_id

Text = Annotated[str, Field(max_length=300)]
Days = Annotated[int, Field(ge=1, le=review.DAYS_MAX)]


class AccessQuery(PageQuery):
    """Whose rights: over an organisation or a tenant, of a user, or to a model of a tenant."""

    organisation: Text | None = None
    tenant: Text | None = None
    user: Text | None = None
    model: Text | None = None
    unused_days: Days | None = None


class ReportQuery(BaseModel):
    """What the report is about: everything, a place, or who can use a model of a tenant."""

    model_config = ConfigDict(extra="forbid")
    organisation: Text | None = None
    tenant: Text | None = None
    model: Text | None = None


class ReviewForm(BaseModel):
    """A review that is to be opened: of everything, of an organisation or of a tenant."""

    model_config = ConfigDict(extra="forbid")
    name: Text
    due_at: Text
    organisation_id: Text | None = None
    tenant_id: Text | None = None
    reviewers: list[Role] = Field(default=[], max_length=len(Role))
    unused_days: Days = review.UNUSED_DAYS


# Who may do what


async def rights(desk: TheDesk, query: Annotated[AccessQuery, Query()]) -> Annotated[Json, Listed[AccessShown]]:
    """Each right with who has it, since when and by whose grant. With a model: who can use it in the tenant, now."""
    found = await _rights(desk, query)
    return page(found, _cursor, access_facts, query.after, query.limit)


async def report(
    desk: TheDesk, actor: TheActor, query: Annotated[ReportQuery, Query()]
) -> Annotated[Response, AccessReport]:
    """All rights of a place as one signed document. `parvis access verify` checks it anywhere."""
    if query.model is not None and query.tenant is None:
        raise _tenant_missing()
    target = await _place(desk, query.organisation, query.tenant)
    file = await access_report(desk.store, desk.clock, desk.signer, actor, target, query.model or "")
    return Response(file, media_type="application/json")


async def signing_key(desk: TheDesk) -> Annotated[Json, SigningKey]:
    """The public half of the key that this installation signs with."""
    public_key = desk.signer.public_key
    return {
        "object": "signing_key",
        "algorithm": ALGORITHM,
        "public_key": public_key.hex(),
        "installation": installation_id(public_key),
    }


# Reviews


async def all_reviews(
    desk: TheDesk, actor: TheActor, query: Annotated[PageQuery, Query()]
) -> Annotated[Json, Listed[Review]]:
    """Every review, sorted by id: the oldest first."""
    found = sorted(await review.campaigns_of(desk.store, actor), key=lambda one: one.review_id)
    listed = page(found, lambda one: one.review_id, lambda one: {"id": one.review_id}, query.after, query.limit)
    known = {one.review_id: one for one in found}
    return {**listed, "data": [await _review_shape(desk, known[one["id"]]) for one in listed["data"]]}


async def open_review(desk: TheDesk, actor: TheActor, form: ReviewForm) -> Annotated[Json, Review]:
    """Ask about every right of a place until a day. Keys that nobody uses are proposed for removal."""
    due = read_instant(form.due_at, "due_at")
    target = await _place(desk, form.organisation_id, form.tenant_id)
    plan = review.Plan(form.name, target, due or 0, tuple(form.reviewers), form.unused_days)
    return await _review_shape(desk, await review.open_campaign(desk.store, desk.mint, actor, plan))


async def one_review(desk: TheDesk, review_id: str) -> Annotated[Json, Review]:
    """One review, and how far it has come."""
    return await _review_shape(desk, await review.campaign_of(desk.store, review_id))


async def items(
    desk: TheDesk, review_id: str, query: Annotated[ItemsQuery, Query()]
) -> Annotated[Json, Listed[ReviewItem]]:
    """The rights that a review asks about, sorted by id, each with what was decided."""
    found, following = await review.items_page(
        desk.store, review_id, query.after, query.limit, query.decision, open_only=query.undecided
    )
    return listing([item_shape(one) for one in found], following)


async def decide(
    desk: TheDesk, actor: TheActor, witness: TheWitness, review_id: str, item_id: str, form: DecisionForm
) -> Annotated[Json, ReviewItem]:
    """Keep a right, or withdraw it everywhere and at once."""
    decided = await review.decide(
        desk.store, desk.clock, actor, review_id, item_id, form.decision, form.reason, witness=witness
    )
    if form.decision is Decision.WITHDRAW:
        await desk.announce()
    return item_shape(decided)


async def close_review(desk: TheDesk, review_id: str) -> Annotated[Json, Review]:
    """No more decisions. What was not answered stays listed."""
    return await _review_shape(desk, await review.close_campaign(desk.store, desk.clock, review_id))


async def _review_shape(desk: OperatorDesk, one: Campaign) -> Json:
    return review_shape(one, await desk.store.campaign_tally(one.review_id), desk.clock.unix_ms())


async def _rights(desk: OperatorDesk, query: AccessQuery) -> list[Access]:
    if query.model is not None:
        if query.tenant is None:
            raise _tenant_missing()
        found = await review.who_can_use(desk.store, desk.clock, query.tenant, query.model, operators=True)
    else:
        target = await _place(desk, query.organisation, query.tenant)
        if query.unused_days is not None:
            found = await review.unused_keys(desk.store, desk.clock, query.unused_days, target)
        else:
            found = await review.access_of(desk.store, desk.clock, target, query.user or "", operators=True)
    return sorted(found, key=_cursor)


def _cursor(access: Access) -> str:
    return f"{access.means}:{access.object_id}"


async def _place(desk: OperatorDesk, organisation_id: str | None, tenant_id: str | None) -> Target:
    """Raises NotFound for a place that is not there."""
    if tenant_id is not None:
        tenant = await tenant_of(desk.store, tenant_id)
        return Target(tenant.organisation_id, tenant.tenant_id)
    if organisation_id is not None:
        return Target((await organisation_of(desk.store, organisation_id)).organisation_id)
    return INSTALLATION


def _tenant_missing() -> BadRequest:
    return BadRequest("Say of which tenant: who can use a model is asked tenant by tenant.", param="tenant")
