"""Who may do what, and its reviews, as they are answered."""

from typing import Literal

from parvis.api.web.answers import Instant, Shape
from parvis.domain.identity.access import Means
from parvis.domain.identity.review import Decision
from parvis.domain.identity.role import Role


class AccessFacts(Shape):
    """One right of one person or key. `what` is a role, or what the scope of a key is, in words."""

    means: Means
    who: str
    user_id: str
    what: str
    organisation_id: str
    tenant_id: str
    since_unix_ms: int
    granted_by: str
    last_used_unix_ms: int | None
    ends_unix_ms: int | None
    works: bool


class Access(AccessFacts):
    """One right; `id` is that of the grant or key."""

    object: Literal["access"]
    id: str


class ReviewItem(AccessFacts):
    """One right in a review, with what was decided. `right_id` is that of the grant or key."""

    object: Literal["review_item"]
    id: str
    review_id: str
    right_id: str
    proposal: str
    decision: Decision | None
    reason: str
    decided_by: str
    decided_at: Instant | None


class Review(Shape):
    """A review and how far it has come. `overdue`: its day is over, and something was not answered."""

    object: Literal["review"]
    id: str
    name: str
    organisation_id: str
    tenant_id: str
    reviewers: list[Role]
    opened_by: str
    opened_at: Instant
    due_at: Instant
    closed_at: Instant | None
    undecided: int
    kept: int
    withdrawn: int
    overdue: bool
