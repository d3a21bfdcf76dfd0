"""A campaign of access review: every right of a place is looked at, and kept or withdrawn, by a day."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from parvis.domain.identity.access import Access
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import Principal
from parvis.domain.identity.role import ANYONES, RULES, Role

REASON_CHARS_MAX = 500


class Decision(StrEnum):
    """What a reviewer says of one right."""

    KEEP = "keep"
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True)
class Campaign:
    """One review of a place."""

    review_id: str
    name: str
    target: Target
    """What is reviewed: all that reaches no further than this place."""
    reviewers: tuple[Role, ...]
    """Who has at least what one of these roles gives decides."""
    opened_by: str
    opened_unix_ms: int
    due_unix_ms: int
    closed_unix_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One right in one campaign, as it was when the campaign was opened."""

    review_id: str
    item_id: str
    """`grant:ID` or `key:ID`."""
    access: Access
    proposal: str = ""
    """Why it is proposed to be withdrawn, like `unused for 90 days`; empty: nothing is proposed."""
    decision: Decision | None = None
    reason: str = ""
    decided_by: str = ""
    decided_unix_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """How far a campaign has come."""

    undecided: int = 0
    kept: int = 0
    withdrawn: int = 0


def items_of(campaign: Campaign, found: Iterable[Access], proposals: dict[str, str]) -> list[Item]:
    """The rights that lie in the campaign's place, undecided; `proposals` are by the id of the grant or key."""
    return [
        Item(campaign.review_id, f"{access.means}:{access.object_id}", access, proposals.get(access.object_id, ""))
        for access in found
        if campaign.target.covers(access.target)
    ]


def may_decide(actor: Principal, campaign: Campaign, item: Item) -> bool:
    """Whether somebody has at least what one of the reviewers' roles gives, over the place of the right."""
    return any(
        RULES[role].permissions - ANYONES <= right.permissions and right.target.covers(item.access.target)
        for role in campaign.reviewers
        for right in actor.rights
    )


def is_own(actor: Principal, item: Item) -> bool:
    """Whether somebody would decide about a right of their own."""
    return bool(actor.subject_id) and actor.subject_id == item.access.who_id


def overdue(campaign: Campaign, tally: Tally, now_unix_ms: int) -> bool:
    """Whether the day is over and something was not answered."""
    return campaign.closed_unix_ms is None and tally.undecided > 0 and campaign.due_unix_ms <= now_unix_ms
