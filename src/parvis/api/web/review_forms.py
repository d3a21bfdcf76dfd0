"""Access reviews in JSON, for both administration listeners."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from parvis.api.web.instants import write_instant
from parvis.api.web.queries import PageQuery
from parvis.api.web.shapes import Json
from parvis.domain.identity.review import Campaign, Decision, Item, Tally, overdue
from parvis.flows.access_report import access_facts


class DecisionForm(BaseModel):
    """What a reviewer says, and why."""

    model_config = ConfigDict(extra="forbid")
    decision: Decision
    reason: Annotated[str, Field(max_length=1000)]


class ItemsQuery(PageQuery):
    """Which items: those of one decision, or those that wait for one."""

    decision: Decision | None = None
    undecided: bool = False


def item_shape(item: Item) -> Json:
    """One right in a review, with what was decided."""
    return {
        **access_facts(item.access),
        "object": "review_item",
        "id": item.item_id,
        "review_id": item.review_id,
        "right_id": item.access.object_id,
        "proposal": item.proposal,
        "decision": item.decision,
        "reason": item.reason,
        "decided_by": item.decided_by,
        "decided_at": None if item.decided_unix_ms is None else write_instant(item.decided_unix_ms),
    }


def review_shape(one: Campaign, tally: Tally, now_unix_ms: int) -> Json:
    """A review and how far it has come. `overdue`: its day is over, and something was not answered."""
    return {
        "object": "review",
        "id": one.review_id,
        "name": one.name,
        "organisation_id": one.target.organisation_id,
        "tenant_id": one.target.tenant_id,
        "reviewers": list(one.reviewers),
        "opened_by": one.opened_by,
        "opened_at": write_instant(one.opened_unix_ms),
        "due_at": write_instant(one.due_unix_ms),
        "closed_at": None if one.closed_unix_ms is None else write_instant(one.closed_unix_ms),
        "undecided": tally.undecided,
        "kept": tally.kept,
        "withdrawn": tally.withdrawn,
        "overdue": overdue(one, tally, now_unix_ms),
    }
