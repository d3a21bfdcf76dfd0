"""What a caller is told whose worst case is more than what is left: which limit, its state, when it frees, what to do.

    which_account("budget:202611:key:3f9c…")     budget of key
    which_account("tenant:ten_1")                credit of tenant

Names of people and keys stay out of headers; the sentence has the subject, by which it can be raised.
"""

from datetime import UTC, datetime
from typing import NamedTuple

from parvis.core.money import ZERO, Money
from parvis.domain.quota.budget import budget_of, month_bounds_ms
from parvis.domain.quota.limit import Level

_OWNERS = "ask an owner of your tenant or organisation to raise it"
_WHOSE = {
    Level.CONTRACT: ("your contract", "ask your operator to raise it"),
    Level.ORGANISATION: ("your organisation", "ask an owner of your organisation to raise it"),
    Level.TENANT: ("your tenant", _OWNERS),
    Level.PROJECT: ("this key's project", _OWNERS),
    Level.USER: ("this key's user", _OWNERS),
    Level.KEY: ("this key", _OWNERS),
}


def which_account(account: str) -> str:
    """An account in three words, for headers: what kind it is and whose, without a name."""
    budget = budget_of(account)
    return "credit of tenant" if budget is None else f"budget of {_level(budget[0])}"


class AccountState(NamedTuple):
    """How the account stands, as the gateway sees it that refuses."""

    needed: Money
    left: Money
    held: Money
    """For requests that run."""


def why_exhausted(account: str, now: AccountState, monthly: Money | None) -> str:
    """The sentence of the refusal. `monthly` is the budget as it was set; None where nobody knows it any more."""
    running = f", {now.held} is held for requests that run" if now.held > ZERO else ""
    state = f"{now.needed} may be needed, {now.left} is left{running}."
    state = f"does not cover the most that this request can cost: {state}"
    budget = budget_of(account)
    if budget is None:
        return f"The credit of your tenant {state} Lower max_tokens, or ask your operator for credit."
    subject, month = budget
    whose, remedy = _WHOSE[_level(subject)]
    amount = "" if monthly is None else f" of {monthly}"
    anew = datetime.fromtimestamp(month_bounds_ms(month)[1] // 1000, UTC)
    return (
        f"The monthly budget{amount} of {whose} {state} It begins anew on {anew:%Y-%m-%d} at 00:00 UTC. "
        f"Lower max_tokens, or {remedy} ('{subject}' at /v1/limits)."
    )


def _level(subject: str) -> Level:
    return Level(subject.partition(":")[0])
