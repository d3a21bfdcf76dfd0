"""Limits, tiers and budgets, as they are answered."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from parvis.api.web.answers import Instant, Listed, Money, Shape
from parvis.domain.quota.limit import Level

Count = int | UnsetType
Euro = Annotated[str, Meta(description="Decimal euro, like 5 or 0.25.")]


class LimitWords(Shape):
    """Limits, as they are set with PUT. What is not there is not limited."""

    requests_per_minute: Count = UNSET
    requests_per_hour: Count = UNSET
    requests_per_day: Count = UNSET
    input_tokens_per_minute: Count = UNSET
    input_tokens_per_hour: Count = UNSET
    input_tokens_per_day: Count = UNSET
    output_tokens_per_minute: Count = UNSET
    output_tokens_per_hour: Count = UNSET
    output_tokens_per_day: Count = UNSET
    concurrent_requests: Count = UNSET
    monthly_euro: Euro | UnsetType = UNSET
    notice_euro: Euro | UnsetType = UNSET
    notice_percents: list[int] | UnsetType = UNSET


class Budget(Shape):
    """How the month of a subject stands. `leased` is held by gateways: a part of it comes back."""

    month: Annotated[str, Meta(description="Like 2026-11, of UTC.")]
    ends_at: Instant
    limit: Money | None
    spent: Money
    leased: Money
    left: Money | None
    expected: Money


class LimitsSet(Shape):
    """What was set on one subject. `tenant_id` is null of an organisation and of a user."""

    object: Literal["limits"]
    subject: str
    organisation_id: str
    tenant_id: str | None
    set: LimitWords


class LimitsState(LimitsSet):
    """What was set on one subject, what holds for it, and how its month stands. `tier` is of a contract."""

    level: Level
    id: str
    name: str
    tier: str | None
    in_force: LimitWords
    budget: Budget


class Tightest(Shape):
    """Of one kind of limit, the one that a request meets first; of a month's money, the one of which least is left."""

    name: str
    subject: str
    amount: int | None
    left: Money | None


class KeyLimits(Listed[LimitsState]):
    """All that the requests of a key are inside of, the widest first, and of each kind the tightest."""

    tightest: list[Tightest]


class Tier(Shape):
    """A class of contracts."""

    object: Literal["tier"]
    id: str
    name: str
    name_fr: str
    limits: LimitWords
    priority: int
    entry_credit: Money


class Forecast(Shape):
    """What one tenant has spent in this month, and what is expected by its end."""

    object: Literal["forecast"]
    tenant_id: str
    month: str
    spent: Money
    expected: Money
