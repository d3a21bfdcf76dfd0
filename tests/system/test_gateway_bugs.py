"""Twenty ways in which other gateways lose, double or overrun money, each planted in ours and caught.

Users of other gateways complain of each of these. A bug is one changed function; its scenario finds nothing without it,
and something with it. Most scenarios are seeded schedules of the whole money path (`parvis.testing.simulation`).
"""

import random
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import msgspec
import pytest

from parvis.adapters.engines.counting import Counts
from parvis.core.errors import LimitReached, Unavailable
from parvis.core.money import Money
from parvis.core.tokens import NO_TOKENS, TokenCount
from parvis.domain.billing import price as pricing
from parvis.domain.billing.price import PriceList
from parvis.domain.metering import claim as claiming
from parvis.domain.metering import plausible
from parvis.domain.metering.claim import Claim, ClaimState, Earlier, Verdict
from parvis.domain.metering.plausible import Ceiling
from parvis.domain.quota.limit import Amounts, Limits, Metric, Rate, Window
from parvis.domain.quota.slices import Slice, Trade, Unused, Want
from parvis.flows.throttle import LeasedThrottle
from parvis.flows.virtual_time import VirtualLoop
from parvis.testing import planted_bugs as planted
from parvis.testing.planted_bugs import Plant, first_broken
from parvis.testing.simulation import LoopClock
from parvis.wire.chunk_shapes import Chunk
from parvis.wire.usage import PromptDetails, Usage

Scenario = Callable[[], list[str]]
SCHEDULES = 2000
"""At most so many are tried until a bug shows. Each is found long before."""
SOUND = 40
"""Schedules without a bug; promise 28 has the large number."""


class Bug(NamedTuple):
    """What users complain about, how it is planted, and where it shows."""

    complaint: str
    plant: Plant
    scenario: Scenario


def schedules() -> list[str]:
    return first_broken(SCHEDULES)


# ------------------------------------------------------------------------------------------------ prices, counts

OFFICIAL = PriceList("2025", "*", 0, 900_000, 90_000, 4_000_000, 21_000_000)
LATER = PriceList("2026", "*", 1_000, 1_800_000, 180_000, 8_000_000, 8_000_000)


def costs() -> list[str]:
    """Costs of random tokens that are not what fractions say."""
    dice, wrong = random.Random(5), []
    for _ in range(200):
        tokens = TokenCount(*(dice.getrandbits(40) for _ in range(4)))
        euro = sum(
            Fraction(n * price, 10**12)
            for n, price in zip(tokens, (900_000, 90_000, 4_000_000, 21_000_000), strict=True)
        )
        if pricing.cost(tokens, OFFICIAL).pico_euro != euro * 10**12:
            wrong.append(f"{tokens} do not cost what they cost")
    return wrong


def floats_drift(plant: pytest.MonkeyPatch) -> None:
    cost = pricing.cost
    plant.setattr(pricing, "cost", lambda *values: Money(int(cost(*values).pico_euro / 1e12 * 1e12)))


def sums_of_many() -> list[str]:
    """A thousand small requests cost as much as one that is as large as they are together."""
    apart = sum((pricing.cost(TokenCount(7, 1, 3), OFFICIAL).pico_euro for _ in range(1000)), 0)
    together = pricing.cost(TokenCount(7_000, 1_000, 3_000), OFFICIAL).pico_euro
    return [] if apart == together else [f"{apart} apart, {together} together"]


def each_request_is_rounded(plant: pytest.MonkeyPatch) -> None:
    cost, cent = pricing.cost, 10**10
    plant.setattr(pricing, "cost", lambda *values: Money(-(-cost(*values).pico_euro // cent) * cent))


def yesterday() -> list[str]:
    """What was asked before a price changed costs what it cost then."""
    prices = pricing.price_in_force([OFFICIAL, LATER], "m", 999)
    return [] if prices == OFFICIAL else [f"the price of then is {prices and prices.version}"]


def the_latest_price_for_all(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(
        pricing, "price_in_force", lambda lists, _model, _at: max(lists, key=lambda one: one.valid_from_unix_ms)
    )


def hostile_reports() -> list[str]:
    """What a broken engine reports, and may not be believed."""
    ceiling = Ceiling(10, 10)
    details = PromptDetails(-3)
    reports = (Usage(-10, 5), Usage(5, -10), Usage(5, 5, 10, details), Usage(5, 10**9), Usage(99, 5))
    return [f"{usage} is believed" for usage in reports if not plausible.fault(usage.tokens(), ceiling, 10)]


def any_usage_is_believed(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(plausible, "fault", lambda *_: "")


def streams_without_usage() -> list[str]:
    """A stream of whose tokens its engine says nothing is not free."""
    counts = Counts(1, 1, Ceiling(100, 100))
    for word in ("Once ", "upon ", "a ", "time"):
        counts.take(msgspec.convert({"choices": [{"index": 0, "delta": {"content": word}}]}, Chunk))
    counted = counts.by_engine() or counts.by_events()
    return [] if counted.completion_total == 4 else [f"4 words, {counted.completion_total} tokens"]


def only_reports_count(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Counts, "by_events", lambda _: NO_TOKENS)


class Away:
    """An owner of rates that gives what is wanted, once, and never answers again."""

    def __init__(self) -> None:
        self._asked = 0

    async def trade(self, unused: list[Unused], wants: list[Want]) -> Trade:  # noqa: ARG002 - a port
        self._asked += 1
        if self._asked > 1:
            raise Unavailable("Nobody answers.")
        return Trade([Slice(want.at_least, 0, 0, 0, 0) for want in wants], 1)


async def passed_of(requests: int, allowed: int) -> int:
    """How many of them pass a gateway whose owner of rates is away."""
    throttle, passed = LeasedThrottle(Away(), LoopClock(0)), 0
    limits = Limits((Rate(Metric.REQUESTS, Window.MINUTE, allowed),))
    throttle.learn({"key:k": limits, "key:before": limits})
    await throttle.enter(("key:before",), Amounts(1, 0, 0))  # it learns how many share the limits
    for _ in range(requests):
        with suppress(LimitReached):
            await throttle.enter(("key:k",), Amounts(1, 0, 0))
            passed += 1
    return passed


def without_an_owner() -> list[str]:
    """A gateway goes on with its part, and not with more."""
    with closing(VirtualLoop()) as loop:
        passed = loop.run_until_complete(passed_of(10, 2))
    return [] if passed == 2 else [f"{passed} passed, 2 a minute"]


def other_bodies() -> list[str]:
    """Under the same Idempotency-Key another body is refused, while the first one runs and afterwards."""
    claim = Claim("t", "k", "another body", "ask_2", "gw_1", 1)
    earlier = [Earlier("body", "ask_1", state, False, 0) for state in ClaimState]  # noqa: FBT003 - its run goes on
    verdicts = [claiming.judge(claim, one) for one in earlier]
    return [verdict for verdict in verdicts if verdict is not Verdict.REUSED]


def any_body_will_do(plant: pytest.MonkeyPatch) -> None:
    judge = claiming.judge

    def without_a_look(claim: Claim, earlier: Earlier | None) -> Verdict:
        same = claim if earlier is None else replace(claim, fingerprint=earlier.fingerprint)
        return judge(same, earlier)

    plant.setattr(claiming, "judge", without_a_look)


# ------------------------------------------------------------------------------------------------------ the table

BUGS = (
    Bug("spend is counted after the answer has gone, and lost when the process dies", planted.counted_late, schedules),
    Bug("spend is counted twice when the ledger is told again", planted.counted_twice, schedules),
    Bug("streams that clients leave or engines break are not counted", planted.counted_on_success_only, schedules),
    Bug("streams without a usage event are free", only_reports_count, streams_without_usage),
    Bug("each attempt of a retry is billed", planted.every_attempt_is_billed, schedules),
    Bug("a request that failed is billed", planted.failures_are_billed, schedules),
    Bug("what ran in a process that died is never counted", planted.the_dead_are_forgotten, schedules),
    Bug("cached tokens are priced twice", planted.priced_again("cached"), schedules),
    Bug("reasoning tokens are priced twice", planted.priced_again("reasoning"), schedules),
    Bug("usage that cannot be, negative even, is credited", any_usage_is_believed, hostile_reports),
    Bug("budgets are read, then written, and overrun by concurrency", planted.read_then_write, schedules),
    Bug("holds are taken without a look at what is left", planted.checked_by_nobody, schedules),
    Bug("a reservation of a request that failed stays", planted.voids_are_skipped, schedules),
    Bug("what a dead gateway held never returns", planted.a_dead_gateway_keeps_its_lease, schedules),
    Bug("credit is open while its store is away", planted.fails_open, schedules),
    Bug("limits are open while their store is away", planted.open_without_its_owner, without_an_owner),
    Bug("budgets are multiplied by the number of replicas", planted.once_for_each_replica, schedules),
    Bug("rates are multiplied by the number of replicas", planted.a_bucket_for_each_replica, schedules),
    Bug("a clock that is wrong opens a limit", planted.by_the_clock_of_the_node, schedules),
    Bug("a budget is settled in the month that began meanwhile", planted.settled_in_another_month, schedules),
    Bug("a cut stream looks complete", planted.a_cut_looks_complete, schedules),
    Bug("a price change touches the past", the_latest_price_for_all, yesterday),
    Bug("sums drift in floats", floats_drift, costs),
    Bug("each request is rounded up", each_request_is_rounded, sums_of_many),
    Bug("an idempotency key serves another body", any_body_will_do, other_bodies),
)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.plant.__name__)
def test_a_bug_of_other_gateways_is_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    bug.plant(monkeypatch)
    assert bug.scenario() != [], f"nobody noticed that {bug.complaint}"


SCENARIOS = sorted({bug.scenario for bug in BUGS} - {schedules}, key=lambda one: one.__name__)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.__name__)
def test_without_a_bug_nothing_is_found(scenario: Scenario) -> None:
    assert scenario() == []


def test_without_a_bug_no_schedule_breaks_a_law() -> None:
    assert first_broken(SOUND) == []
