"""What the operator's routes about the books answer, as types."""

from typing import Literal

from parvis.api.web.answers import Instant, Money, Shape


class Order(Shape):
    """Credit as it was ordered, or refunded, and how much of it is left."""

    object: Literal["order"]
    id: str
    tenant_id: str
    kind: Literal["credit", "refund"]
    amount: Money
    unspent: Money
    expired: Money
    note: str
    made_at: Instant
    expires_at: Instant | None
    closed_at: Instant | None


class Refund(Shape):
    """What went back to a tenant, and what it may spend now."""

    object: Literal["refund"]
    tenant_id: str
    reference: str
    amount: Money
    note: str
    balance: Money


class Holding(Shape):
    """What a run of a gateway holds of an account."""

    account: str
    amount: Money


class Run(Shape):
    """A run of a gateway whose leases have not come back."""

    object: Literal["ledger.run"]
    id: str
    connected: bool
    journal_at_hand: bool
    holds: list[Holding]


class Loss(Shape):
    """What came back of a run that was declared lost; of a dry one, what would."""

    object: Literal["ledger.loss"]
    run: str
    dry_run: bool
    returned: list[Holding]


class Unbookable(Shape):
    """A request that the books refused, as the journal had it."""

    object: Literal["ledger.unbookable"]
    id: str
    run: str
    tenant_id: str
    reason: str
    set_aside_at: Instant
    note: str
    record: str


class Dismissal(Shape):
    """A request that was set aside, and what was found out about it."""

    object: Literal["ledger.dismissal"]
    id: str
    note: str


class SelfCheck(Shape):
    """What the books found when they last checked themselves; null before the first time."""

    object: Literal["self_check"]
    ok: bool
    checked_at: Instant | None
    checked_whole_at: Instant | None
    differences: list[str]
