"""API keys, their rotation and the notices of it, as they are answered."""

from typing import Literal

from msgspec import UNSET, UnsetType

from parvis.api.web.answers import Instant, Money, Shape
from parvis.api.web.answers_limits import LimitWords
from parvis.domain.identity.notice import NoticeKind, TargetKind
from parvis.domain.identity.rotation import Phase
from parvis.domain.identity.scope import Endpoint


class KeySchedule(Shape):
    """When the next secret is due, and for how long two of them work. In seconds."""

    every_s: int
    overlap_s: int
    notice_s: int
    grace_s: int


class KeySecret(Shape):
    """One secret of a key, without its text."""

    made_at: Instant
    ends_at: Instant | None
    last_used_at: Instant | None


class KeyRotation(Shape):
    """Where a key stands in its rotation. `phase` is null of a key that was revoked."""

    phase: Phase | None
    due_at: Instant | None
    ends_at: Instant | None
    secrets: list[KeySecret]


class Key(Shape):
    """A key without its secrets. Without an owner it is the tenant's own."""

    object: Literal["key"]
    id: str
    name: str
    tenant_id: str
    organisation_id: str
    project_id: str | None
    owner_id: str | None
    models: list[str]
    models_denied: list[str]
    endpoints: list[Endpoint]
    addresses: list[str]
    tags: list[str]
    limits: LimitWords
    active: bool
    created_at: Instant
    ends_at: Instant | None
    schedule: KeySchedule | None
    rotation: KeyRotation


class NewKey(Key):
    """A key that was just made. `key` is its whole text: it stands in this answer alone."""

    key: str


class KeyRevoked(Shape):
    """A key that works no more."""

    object: Literal["key"]
    id: str
    active: bool


class KeyInBrief(Shape):
    """The key by which somebody asks."""

    object: Literal["key"]
    id: str
    name: str
    tenant_id: str
    organisation_id: str
    models: list[str]
    active: bool


class Account(Shape):
    """Who a key belongs to, and what may still be spent."""

    object: Literal["account"]
    organisation_id: str
    tenant_id: str
    name: str
    credit_unlimited: bool
    balance: Money
    key: KeyInBrief


class SyncSecret(KeySecret):
    """One secret of the key that asks; `presented` is the one by which it asks."""

    presented: bool


class KeySync(Shape):
    """Where the key that asks stands in its rotation. `key` is its next text, when one was just made."""

    object: Literal["key_sync"]
    id: str
    name: str
    phase: Phase
    due_at: Instant | None
    ends_at: Instant | None
    secrets: list[SyncSecret]
    next_wanted: bool
    key: str | None


class Report(Shape):
    """A leaked key was handed in. It says the same of every text."""

    object: Literal["report"]
    received: bool


class Dispatch(Shape):
    """How a notice fares on its way to one target."""

    target_id: str
    state: Literal["sent", "waiting", "given_up"]
    attempts: int
    sent_at: Instant | None
    next_at: Instant | None
    problem: str | None


class Notice(Shape):
    """What was told of a key, of a budget or of credit.

    `amount` is what was spent and `limit` what was reached; of credit, what is left and the last order.
    """

    object: Literal["notice"]
    id: str
    kind: NoticeKind
    organisation_id: str
    tenant_id: str
    subject: str
    name: str
    key_id: str | None
    key_name: str | None
    amount: Money | None
    limit: Money | None
    due_at: Instant | None
    ends_at: Instant | None
    created_at: Instant
    dispatches: list[Dispatch]


class NoticeTarget(Shape):
    """Where the notices of a tenant go."""

    object: Literal["notice_target"]
    id: str
    organisation_id: str
    tenant_id: str
    kind: TargetKind
    address: str
    language: Literal["en", "fr"]
    created_at: Instant


class NewNoticeTarget(NoticeTarget):
    """A target that was just made. `secret` signs what a webhook gets, and stands in this answer alone."""

    secret: str | UnsetType = UNSET


class NoticeTargetRemoved(Shape):
    """Nothing is sent there any more."""

    object: Literal["notice_target"]
    id: str
    deleted: bool
