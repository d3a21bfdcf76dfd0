"""Money that a subject may spend in one month, held and spent like the money of an account.

    monthly limit >= spent + leased      whenever something more is leased

A request holds against the account of its tenant and against each of its budgets, all or none of them.
"""

from datetime import UTC, datetime
from typing import NamedTuple

from parvis.core.money import Money

_PREFIX = "budget:"


def month_of(unix_ms: int) -> int:
    """The month of UTC in which an instant lies, as a number that people can read: 202611."""
    moment = datetime.fromtimestamp(unix_ms // 1000, UTC)
    return moment.year * 100 + moment.month


def month_bounds_ms(month: int) -> tuple[int, int]:
    """When a month begins, and when the next one does."""
    year, number = divmod(month, 100)
    following = (year + 1, 1) if number == 12 else (year, number + 1)  # noqa: PLR2004 - months
    first, last = (datetime(*one, 1, tzinfo=UTC) for one in ((year, number), following))
    return int(first.timestamp()) * 1000, int(last.timestamp()) * 1000


def budget_account(subject: str, month: int) -> str:
    """What a budget is called where money is held: `budget:202611:key:3f9c…`."""
    return f"{_PREFIX}{month}:{subject}"


def budget_of(account: str) -> tuple[str, int] | None:
    """The subject and the month of a budget's account; None for an account of money."""
    if not account.startswith(_PREFIX):
        return None
    month, _, subject = account.removeprefix(_PREFIX).partition(":")
    return subject, int(month)


class LeaseAnswer(NamedTuple):
    """What control says to a gateway that asked for more of an account."""

    granted: Money
    """Debited durably; zero when what was needed is more than what is left."""
    left: Money
    """What is there after it, for anybody; leased to other gateways not included."""


class Spending(NamedTuple):
    """Of a subject in a month: what was booked, and what gateways hold of its limit beside it."""

    spent: Money
    leased: Money


def grant_size(left: int, need: int, wanted: int, holders: int) -> int:
    """How much of what is left one of so many gateways gets, in whole pico-euro.

    Never less than it needs for the request that waits, and never more than a share that shrinks as `left` runs out:
    a quarter of what each holder would get. Nothing when even the need is not covered.
    """
    if need > left:
        return 0
    share = left // (4 * max(holders, 1))
    return max(need, min(wanted, share))
