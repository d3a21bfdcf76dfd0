"""What money costs of a request: hold, charge and settle of one key, with as many budgets as it may have.

Everything is a gateway's own, but for control, which grants at once. Medians of rounds, in microseconds of one core;
ends with 1 when a gateway's money path does fewer than 10,000 requests a second. The journal is not in it.

usage: money_path.py
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Mapping

from parvis.core.clock import SystemClock
from parvis.core.money import Money
from parvis.core.tokens import TokenCount
from parvis.domain.billing.price import PriceList, charge, cost
from parvis.domain.catalog.model import Model
from parvis.domain.identity.api_key import ApiKey, KeySecret
from parvis.domain.identity.organisation import Tenant
from parvis.domain.quota.admission import WorstCase
from parvis.domain.quota.budget import LeaseAnswer
from parvis.domain.quota.limit import Amounts, Limits
from parvis.flows import purse as purse_module
from parvis.flows.hold import Passage
from parvis.flows.prepared import PreparedKey, prepare
from parvis.flows.purse import LeasedPurse
from parvis.flows.quota import LeasedQuota
from parvis.flows.request import InferenceRequest
from parvis.flows.scarcity import Scarcity

ROUNDS, REQUESTS = 15, 5_000
IN_FLIGHT = 64
GOAL_A_SECOND = 10_000
SUBJECTS = ("contract:t", "organisation:o", "tenant:t", "project:p", "key:k")
KEY = ApiKey("k", "o", "t", "mine", (KeySecret(b"", 1),), project_id="p", owner_id="u")
TENANT = Tenant("t", "o", "T", credit_unlimited=False)
PRICES = PriceList("p1", "*", 0, 220_000, 110_000, 1_100_000, 1_100_000)
WORST = WorstCase(900, 512, 512)
USED = TokenCount(180, 0, 300)


class Rich:
    """Control that has money for ever, and whatever else a quota asks for."""

    async def lease(self, account: str, need: Money, wanted: Money) -> LeaseAnswer:  # noqa: ARG002 - a port
        return LeaseAnswer(wanted, Money.euro(10**6))

    def give_back(self, account: str, amount: Money) -> None:
        """Nobody counts."""

    async def enter(self, subjects: tuple[str, ...], most: Amounts) -> Passage:
        raise NotImplementedError

    def leave(self, passage: Passage, used: Amounts) -> None:
        raise NotImplementedError

    async def count_prompt(self, request: InferenceRequest, model: Model) -> int | None:
        raise NotImplementedError


def prepared_with(limits: int) -> tuple[PreparedKey, Mapping[str, Limits]]:
    """The key, with budgets on so many of its subjects."""
    book = {subject: Limits(monthly=Money.euro(1000)) for subject in SUBJECTS[:limits]}
    return prepare(KEY, KEY.secrets[0], TENANT, frozenset(), book.get), book


async def round_us(quota: LeasedQuota, prepared: PreparedKey) -> float:
    """Microseconds of one request's money: bounded, held, charged, settled; `IN_FLIGHT` of them are open at a time."""
    began_ns = time.perf_counter_ns()
    for _ in range(REQUESTS // IN_FLIGHT):
        holds = [await quota.hold(prepared, PRICES, WORST) for _ in range(IN_FLIGHT)]
        for hold in holds:
            billed, _ = charge(cost(USED, PRICES), hold.amount)
            quota.settle(hold, billed, USED)
    return (time.perf_counter_ns() - began_ns) / 1000 / (REQUESTS // IN_FLIGHT * IN_FLIGHT)


async def measured_us(limits: int) -> float:
    """The median of rounds; the purse is tended between them, as it is each second."""
    rich = Rich()
    purse = LeasedPurse(rich, Money.euro(50))
    prepared, book = prepared_with(limits)
    quota = LeasedQuota(purse, rich, Scarcity(purse, book.get, rich), SystemClock())
    rounds = []
    for _ in range(ROUNDS):
        rounds.append(await round_us(quota, prepared))
        purse.tend()
        await asyncio.sleep(0)
    return statistics.median(rounds)


def main() -> int:
    """0 when a gateway's money path is as fast as it must be."""
    compiled = not str(purse_module.__file__).endswith(".py")
    print(f"money of one request, {'compiled' if compiled else 'interpreted'}: hold, charge, settle")
    slowest_us = 0.0
    for limits in (0, 1, 5):
        us = asyncio.run(measured_us(limits))
        slowest_us = max(slowest_us, us)
        print(f"{limits} budgets: {us:6.2f} µs, {1e6 / us:9,.0f} requests/s")
    return 0 if 1e6 / slowest_us >= GOAL_A_SECOND else 1


if __name__ == "__main__":
    sys.exit(main())
