"""What somebody may use at most: rates, requests at a time, money in a month. None of it by default.

A limit is set on a subject: a contract (what the operator lets a tenant use, by its tier and by what was agreed), or an
organisation, a tenant, a project, a user or a key (what the customer wants). A request is inside every limit of every
subject that it belongs to, so that a narrower one never widens a wider one.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from parvis.core.money import ZERO, Money


class Level(StrEnum):
    """What kind of subject it is, the widest first."""

    CONTRACT = "contract"
    ORGANISATION = "organisation"
    TENANT = "tenant"
    PROJECT = "project"
    USER = "user"
    KEY = "key"


def subject(level: Level, named: str) -> str:
    """The name of a subject, everywhere: `key:3f9c…`. A contract is named by its tenant."""
    return f"{level}:{named}"


def read_subject(named: str) -> tuple[Level, str]:
    """The parts of such a name. Raises ValueError when it is none."""
    level, colon, one_id = named.partition(":")
    if not colon or not one_id:
        raise ValueError(f"{named!r} names no subject")
    return Level(level), one_id


class Metric(StrEnum):
    """What a rate counts."""

    REQUESTS = "requests"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"


class Window(StrEnum):
    """In how long a bucket fills from empty to full."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def ms(self) -> int:
        return _WINDOWS_MS[self]


_WINDOWS_MS = {Window.MINUTE: 60_000, Window.HOUR: 3_600_000, Window.DAY: 86_400_000}


class Amounts(NamedTuple):
    """What one request takes of the rates, at most or in the end."""

    requests: int
    input_tokens: int
    output_tokens: int

    def of(self, metric: Metric) -> int:
        """The part that a rate of this metric counts."""
        if metric is Metric.REQUESTS:
            return self.requests
        return self.input_tokens if metric is Metric.INPUT_TOKENS else self.output_tokens


NO_AMOUNTS = Amounts(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in a window: a bucket of `amount`, which fills in one window (GCRA).

    In any span of t there is never more than `amount` + `amount` * t / window.
    """

    metric: Metric
    window: Window
    amount: int

    def __post_init__(self) -> None:
        if self.amount < 1:
            raise ValueError(f"a rate lets at least one pass, not {self.amount}")


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits of one subject."""

    rates: tuple[Rate, ...] = ()
    """At most one for each metric and window."""
    concurrent_max: int | None = None
    """Requests at a time."""
    monthly: Money | None = None
    """No more than this is spent in a month (of UTC)."""
    monthly_notice: Money | None = None
    """Who reads notices is told when this much was spent in a month; nothing is refused."""
    notice_percents: tuple[int, ...] = (80, 100)
    """Shares of `monthly` at which notice is given too."""
    priority: int = 0
    """Of a contract: its tier's. Requests of a higher one go first where they wait."""

    def __post_init__(self) -> None:
        if len({(rate.metric, rate.window) for rate in self.rates}) < len(self.rates):
            raise ValueError("of one metric there is one rate for each window")
        if self.concurrent_max is not None and self.concurrent_max < 1:
            raise ValueError("at least one request at a time")
        if any(amount is not None and amount < ZERO for amount in (self.monthly, self.monthly_notice)):
            raise ValueError("an amount for a month is not below zero")


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class SubjectLimits:
    """The limits of one subject, and whose it is: an organisation and a user are of no one tenant."""

    subject: str
    organisation_id: str
    tenant_id: str
    limits: Limits


def overlay(wide: Limits, own: Limits) -> Limits:
    """What a tier says, but for what was agreed apart."""
    rates = {(rate.metric, rate.window): rate for rate in (*wide.rates, *own.rates)}
    return Limits(
        tuple(rates.values()),
        wide.concurrent_max if own.concurrent_max is None else own.concurrent_max,
        wide.monthly if own.monthly is None else own.monthly,
        wide.monthly_notice if own.monthly_notice is None else own.monthly_notice,
        own.notice_percents,
        wide.priority,
    )


def notice_amounts(limits: Limits) -> list[Money]:
    """What somebody wants to be told of when so much is spent in a month, sorted; nothing is never told of."""
    shares = [] if limits.monthly is None else [(limits.monthly, percent) for percent in limits.notice_percents]
    amounts = {Money(whole.pico_euro * percent // 100) for whole, percent in shares}
    if limits.monthly_notice is not None:
        amounts.add(limits.monthly_notice)
    return sorted(amounts - {ZERO})


class Exhaustion(StrEnum):
    """What happens to a request whose worst case is more than what is left."""

    CLIP = "clip"
    """Its answer is shortened to what is left, as long as that is at least one token."""
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Tier:
    """A class of contracts, as the operator sells it. Replaced as a whole, under its id."""

    tier_id: str
    name: str
    name_fr: str
    limits: Limits
    priority: int = 0
    """Requests of a higher one go first where they wait."""
    entry_credit: Money = ZERO
    """The first order of a tenant of this tier, at least."""


def _tier(tier_id: str, names: tuple[str, str], euro: tuple[int, int], hourly: int, requests: int) -> Tier:
    entry, monthly = euro
    rates = (
        Rate(Metric.REQUESTS, Window.MINUTE, requests),
        Rate(Metric.INPUT_TOKENS, Window.MINUTE, hourly),
        Rate(Metric.OUTPUT_TOKENS, Window.HOUR, hourly),
        Rate(Metric.OUTPUT_TOKENS, Window.DAY, hourly * 24),
    )
    return Tier(tier_id, *names, Limits(rates, monthly=Money.euro(monthly)), 0, Money.euro(entry))


FIRST_TIERS = (
    _tier("standard", ("Standard", "Standard"), (200, 1_000), 150_000, 300),
    _tier("professional", ("Professional", "Professionnel"), (500, 3_000), 300_000, 600),
    _tier("high-volume", ("High volume", "Gros volume"), (1_000, 5_000), 450_000, 1_200),
    _tier("enterprise", ("Enterprise", "Entreprise"), (4_000, 10_000), 600_000, 2_400),
    Tier("monthly", "Monthly billing", "Facturation mensuelle", NO_LIMITS, priority=1),
)
"""The published tiers: entry credit, cap of a month, output tokens by hour and day. Requests and input by minute are
defaults of ours, which an operator changes."""
