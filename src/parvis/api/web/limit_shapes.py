"""Limits between JSON and the domain: what is PUT is what is shown."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from parvis.api.web.instants import write_instant
from parvis.api.web.shapes import Json, money_shape
from parvis.core.errors import BadRequest
from parvis.core.money import Money
from parvis.domain.quota.budget import month_bounds_ms
from parvis.domain.quota.limit import Limits, SubjectLimits, Tier
from parvis.domain.quota.limit_words import in_words, of_words
from parvis.flows.limit_states import LimitState, Tightest

Count = Annotated[StrictInt, Field(ge=1)]
Euro = Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,12})?$", description="decimal euro, like 5.00")]
Percent = Annotated[StrictInt, Field(ge=1)]


class LimitsForm(BaseModel):
    """All limits of one subject. What is not said is not limited."""

    model_config = ConfigDict(extra="forbid")
    requests_per_minute: Count | None = None
    requests_per_hour: Count | None = None
    requests_per_day: Count | None = None
    input_tokens_per_minute: Count | None = None
    input_tokens_per_hour: Count | None = None
    input_tokens_per_day: Count | None = None
    output_tokens_per_minute: Count | None = None
    output_tokens_per_hour: Count | None = None
    output_tokens_per_day: Count | None = None
    concurrent_requests: Count | None = None
    monthly_euro: Euro | None = None
    notice_euro: Euro | None = None
    notice_percents: list[Percent] | None = Field(default=None, max_length=20)

    def limits(self) -> Limits:
        """Raises BadRequest."""
        try:
            return of_words(self.model_dump())
        except ValueError as problem:
            raise BadRequest(f"These limits cannot be: {problem}.", param="limits") from None


def words_shape(limits: Limits) -> Json:
    """Those that are set."""
    return in_words(limits)


def limits_shape(one: SubjectLimits) -> Json:
    """What was set on a subject."""
    return {
        "object": "limits",
        "subject": one.subject,
        "organisation_id": one.organisation_id,
        "tenant_id": one.tenant_id or None,
        "set": in_words(one.limits),
    }


def state_shape(state: LimitState) -> Json:
    """What holds for a subject, and how its month stands."""
    found = state.limited
    return {
        **limits_shape(SubjectLimits(found.subject, *found.place, state.agreed)),
        "level": found.level,
        "id": found.object_id,
        "name": found.name,
        "tier": None if state.tier is None else state.tier.tier_id,
        "in_force": in_words(state.limits),
        "budget": {
            "month": month_text(state.month),
            "ends_at": write_instant(month_bounds_ms(state.month)[1]),
            "limit": None if state.limits.monthly is None else money_shape(state.limits.monthly),
            "spent": money_shape(state.budget.spent),
            "leased": money_shape(state.budget.leased),
            "left": None if state.left is None else money_shape(state.left),
            "expected": money_shape(state.expected),
        },
    }


def tightest_shape(one: Tightest) -> Json:
    """Of a month's money what is left, of other limits the amount."""
    of_money = one.name == "monthly_left"
    return {
        "name": one.name,
        "subject": one.subject,
        "amount": None if of_money else one.amount,
        "left": money_shape(Money(one.amount)) if of_money else None,
    }


def tier_shape(tier: Tier) -> Json:
    """A class of contracts."""
    return {
        "object": "tier",
        "id": tier.tier_id,
        "name": tier.name,
        "name_fr": tier.name_fr,
        "limits": in_words(tier.limits),
        "priority": tier.priority,
        "entry_credit": money_shape(tier.entry_credit),
    }


def month_text(month: int) -> str:
    """202611 as `2026-11`."""
    year, number = divmod(month, 100)
    return f"{year}-{number:02}"
