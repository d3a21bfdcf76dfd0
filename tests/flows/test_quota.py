"""What a request takes before an engine is asked: all of it or nothing, shortened or refused with a reason."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parvis.core.errors import LimitReached, QuotaExhausted
from parvis.core.money import ZERO, Money
from parvis.core.tokens import NO_TOKENS, TokenCount
from parvis.domain.billing.price import PriceList
from parvis.domain.catalog.model import Capability, Model
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.domain.identity.api_key import ApiKey, KeySecret
from parvis.domain.identity.organisation import Exhaustion, Tenant
from parvis.domain.metering.records import Operation
from parvis.domain.quota.admission import WorstCase
from parvis.domain.quota.budget import LeaseAnswer, grant_size
from parvis.domain.quota.limit import Amounts, Limits, Metric, Rate, Window
from parvis.flows.fleet import LocalFleet
from parvis.flows.hold import Hold, Passage, RateState
from parvis.flows.prepared import PreparedKey, prepare
from parvis.flows.prompt_count import PromptCount
from parvis.flows.purse import LeasedPurse
from parvis.flows.quota import LeasedQuota
from parvis.flows.request import InferenceRequest
from parvis.flows.scarcity import Scarcity

KEY = ApiKey("k1", "org", "t", "mine", (KeySecret(b"", 1),), project_id="p", owner_id="u")
TENANT = Tenant("t", "org", "T", credit_unlimited=False)
PRICES = PriceList("p1", "*", 0, 2, 1, 10, 10)
MODEL = Model(
    id="m", engine="e", engine_model="m", context_tokens=1000, capabilities=(Capability.CHAT,), template_tokens=5
)
WORST = WorstCase(40, 20, 20)
"""Costs 280 at most."""
NOVEMBER, DECEMBER = 1_795_000_000_000, 1_796_083_200_000
RATED = Limits((Rate(Metric.REQUESTS, Window.MINUTE, 10),))


class Words:
    """A body of one text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def texts(self) -> list[str]:
        return [self.text]


def asked(text: str = "hello", input_bytes: int = 40) -> InferenceRequest:
    return InferenceRequest(
        request_id="req_1",
        operation=Operation.CHAT,
        credential=None,
        model="m",
        body=Words(text),
        input_bytes=input_bytes,
    )


class Control:
    """A `LeaseSource` of accounts that end. Others lease from them too."""

    def __init__(self, left: Mapping[str, int], random: Random | None = None) -> None:
        self.left = Counter(left)
        self._random = random

    async def lease(self, account: str, need: Money, wanted: Money) -> LeaseAnswer:
        """See the port."""
        await self.pause()
        granted = grant_size(self.left[account], need.pico_euro, wanted.pico_euro, 2)
        self.left[account] -= granted
        return LeaseAnswer(Money(granted), Money(self.left[account]))

    async def pause(self) -> None:
        for _ in range(self._random.randrange(3) if self._random else 0):
            await asyncio.sleep(0)

    def give_back(self, account: str, amount: Money) -> None:
        """See the port."""
        self.left[account] += amount.pico_euro


class Doorway:
    """A `Throttle` that counts who is inside."""

    def __init__(self, pause: Callable[[], Any] = lambda: asyncio.sleep(0)) -> None:
        self.inside: list[Passage] = []
        self.used: list[Amounts] = []
        self.closed = False
        self._pause = pause

    async def enter(self, subjects: tuple[str, ...], most: Amounts) -> Passage:
        """See the port."""
        await self._pause()
        if self.closed:
            raise LimitReached("Too many.", retry_after_s=1)
        self.inside.append(Passage(subjects, most, requests=RateState(10, 9, 100)))
        return self.inside[-1]

    def leave(self, passage: Passage, used: Amounts) -> None:
        self.inside.remove(passage)
        self.used.append(used)


class Tokenizer:
    """Counts words, if it can."""

    def __init__(self, *, speaks: bool = True) -> None:
        self.asked = 0
        self._speaks = speaks

    async def count(self, replica: Replica, engine_model: str, text: str) -> int | None:  # noqa: ARG002 - a port
        self.asked += 1
        return len(text.split()) if self._speaks else None


class HandClock:
    now_unix_ms = NOVEMBER

    def unix_ms(self) -> int:
        return self.now_unix_ms

    def monotonic_s(self) -> float:
        return 0.0


class Gateway:
    """A quota on a purse, and all that surrounds it."""

    def __init__(self, left: Mapping[str, int], limits: Mapping[str, Limits] | None = None, **more: Any) -> None:
        self.limits = dict(limits or {})
        self.control = Control(left, more.get("random"))
        self.clock = HandClock()
        self.doorway = Doorway(self.control.pause)
        self.tokenizer = Tokenizer(speaks=more.get("counts", False))
        self.purse = LeasedPurse(self.control, Money(64))
        fleet = LocalFleet()
        fleet.load((Replica("e-1", "e", EngineKind.VLLM, "http://127.0.0.1:1", ReplicaState.READY),))
        self.scarcity = Scarcity(self.purse, self.limits.get, PromptCount(fleet, self.tokenizer))
        self.quota = LeasedQuota(self.purse, self.doorway, self.scarcity, self.clock)

    def prepared(self, tenant: Tenant = TENANT) -> PreparedKey:
        return prepare(KEY, KEY.secrets[0], tenant, frozenset({"m"}), self.limits.get)

    async def hold(self, worst: WorstCase = WORST, request: InferenceRequest | None = None, **more: Any) -> Hold:
        return await self.quota.hold(self.prepared(**more), PRICES, worst, request or asked(), MODEL)

    def held(self) -> dict[str, int]:
        return {account: held for account in self.control.left if (held := self.purse.lease(account).held_pico_euro)}


def budgets(euro: str, *subjects: str) -> dict[str, Limits]:
    return {one: Limits(monthly=Money.euro(euro)) for one in subjects}


# ------------------------------------------------------------------------------------------- what is charged


async def test_who_has_no_limits_holds_against_the_credit_alone() -> None:
    gateway = Gateway({"tenant:t": 1000})
    hold = await gateway.hold()
    assert (hold.accounts, hold.amount, hold.worst, hold.clipped) == (("tenant:t",), Money(280), WORST, "")
    gateway.quota.settle(hold, Money(30), TokenCount(10, 0, 1))
    assert gateway.purse.lease("tenant:t").spent == Money(30)
    assert (gateway.held(), gateway.doorway.used) == ({}, [])


async def test_every_budget_of_this_month_is_held_against_and_another_month_has_others() -> None:
    subjects = ("contract:t", "organisation:org", "tenant:t", "project:p", "user:u", "key:k1")
    names = [f"budget:{month}:{subject}" for month in (202611, 202612) for subject in subjects]
    gateway = Gateway(dict.fromkeys(["tenant:t", *names], 10_000), budgets("1", *subjects, "key:other"))
    old = await gateway.hold()
    gateway.clock.now_unix_ms = DECEMBER - 1
    assert (await gateway.hold()).accounts == old.accounts == ("tenant:t", *names[:6])
    gateway.clock.now_unix_ms = DECEMBER
    new = await gateway.hold()
    assert new.accounts == ("tenant:t", *names[6:])
    gateway.quota.settle(old, Money(1), NO_TOKENS)
    assert gateway.held() == {"tenant:t": 560} | dict.fromkeys(names[:6], 280) | dict.fromkeys(names[6:], 280)


async def test_rates_are_entered_with_the_most_and_left_with_what_was_used() -> None:
    gateway = Gateway(
        {"tenant:t": 1000}, {"key:k1": RATED, "project:p": Limits(concurrent_max=3), **budgets("1", "user:u")}
    )
    gateway.control.left["budget:202611:user:u"] = 1000
    hold = await gateway.hold()
    assert (hold.passage.subjects, hold.passage.most) == (("project:p", "key:k1"), Amounts(1, 40, 20))
    gateway.quota.settle(hold, Money(30), TokenCount(3, 4, 5, 6))
    assert gateway.doorway.used == [Amounts(1, 7, 11)]
    gateway.quota.settle(await gateway.hold(), ZERO, NO_TOKENS)
    assert gateway.doorway.used[1:] == [Amounts(1, 0, 0)]


async def test_who_is_not_let_in_holds_no_money() -> None:
    gateway = Gateway({"tenant:t": 1000}, {"key:k1": RATED})
    gateway.doorway.closed = True
    with pytest.raises(LimitReached):
        await gateway.hold()
    assert gateway.held() == {}


# ---------------------------------------------------------------------------------------- near exhaustion


async def test_a_prompt_is_counted_before_an_answer_is_shortened() -> None:
    gateway = Gateway({"tenant:t": 279}, counts=True)
    hold = await gateway.hold(request=asked("one two three", 20))
    assert hold.worst == WORST._replace(input_tokens_max=3 + (20 - 13) + 5)  # words, what is between, template
    assert (hold.amount, hold.clipped) == (Money(230), "")
    gateway.quota.settle(hold, ZERO, NO_TOKENS)
    await gateway.hold()
    assert gateway.tokenizer.asked == 2


async def test_who_has_enough_is_never_counted() -> None:
    gateway = Gateway({"tenant:t": 280}, counts=True)
    assert (await gateway.hold()).worst == WORST
    assert gateway.tokenizer.asked == 0


@pytest.mark.parametrize(("left", "exhaustion"), [(11, Exhaustion.CLIP), (201, Exhaustion.REFUSE)])
async def test_nothing_is_counted_for_who_could_not_pay_it_either_way(left: int, exhaustion: Exhaustion) -> None:
    gateway = Gateway({"tenant:t": left}, counts=True)
    with pytest.raises(QuotaExhausted):
        await gateway.hold(tenant=replace(TENANT, exhaustion=exhaustion))
    assert gateway.tokenizer.asked == 0


async def test_an_answer_is_shortened_to_what_the_scarcest_account_covers() -> None:
    budget = "budget:202611:key:k1"
    gateway = Gateway({"tenant:t": 250, budget: 155}, budgets("0.000000000155", "key:k1"))
    hold = await gateway.hold()
    assert hold.worst == WorstCase(40, 7, 7)
    assert (hold.amount, hold.clipped) == (Money(150), "max_tokens=7; budget of key")
    assert gateway.held() == {"tenant:t": 150, budget: 150}


async def test_an_answer_to_be_shortened_for_want_of_credit_says_so() -> None:
    hold = await Gateway({"tenant:t": 122}).hold(WorstCase(40, 40, 20))
    assert hold.worst == WorstCase(40, 4, 2)
    assert hold.clipped == "max_tokens=2; credit of tenant"


@pytest.mark.parametrize(
    ("worst", "exhaustion"),
    [
        (WORST, Exhaustion.REFUSE),
        (WorstCase(140, 0, 0), Exhaustion.CLIP),  # embeddings have no answer to shorten
        (WorstCase(40, 320, 20), Exhaustion.CLIP),  # not a token for each of its answers
    ],
)
async def test_what_cannot_or_shall_not_be_shortened_is_refused(worst: WorstCase, exhaustion: Exhaustion) -> None:
    gateway = Gateway({"tenant:t": 235})
    with pytest.raises(QuotaExhausted):
        await gateway.hold(worst, tenant=replace(TENANT, exhaustion=exhaustion))
    assert gateway.held() == {}


# -------------------------------------------------------------------------------------------- explanations


async def test_a_refusal_for_want_of_credit_explains_itself() -> None:
    with pytest.raises(QuotaExhausted) as refusal:
        await Gateway({"tenant:t": 85}).hold()
    assert str(refusal.value) == (
        "The credit of your tenant does not cover the most that this request can cost: 0.00000000028 € may be needed, "
        "0.000000000085 € is left. Lower max_tokens, or ask your operator for credit."
    )
    assert refusal.value.code == "insufficient_quota"


async def test_a_refusal_while_others_run_says_what_they_hold() -> None:
    gateway = Gateway({"tenant:t": 285})
    await gateway.hold()
    with pytest.raises(
        QuotaExhausted, match=r"0.000000000005 € is left, 0.00000000028 € is held for requests that run\."
    ):
        await gateway.hold()


@pytest.mark.parametrize(
    ("subject", "whose", "remedy"),
    [
        ("contract:t", "your contract", "ask your operator to raise it"),
        ("organisation:org", "your organisation", "ask an owner of your organisation to raise it"),
        ("tenant:t", "your tenant", "ask an owner of your tenant or organisation to raise it"),
        ("project:p", "this key's project", "ask an owner of your tenant or organisation to raise it"),
        ("user:u", "this key's user", "ask an owner of your tenant or organisation to raise it"),
        ("key:k1", "this key", "ask an owner of your tenant or organisation to raise it"),
    ],
)
async def test_a_refusal_for_want_of_budget_explains_itself(subject: str, whose: str, remedy: str) -> None:
    gateway = Gateway({"tenant:t": 1000, f"budget:202611:{subject}": 85}, budgets("0.005", subject))
    with pytest.raises(QuotaExhausted) as refusal:
        await gateway.hold()
    told = str(refusal.value)
    assert told.startswith(f"The monthly budget of 0.005 € of {whose} does not cover the most")
    assert "0.00000000028 € may be needed, 0.000000000085 € is left." in told
    assert "It begins anew on 2026-12-01 at 00:00 UTC." in told
    assert told.endswith(f"{remedy} ('{subject}' at /v1/limits).")
    assert gateway.held() == {}


# ------------------------------------------------------------------------------------------------ any order


@settings(max_examples=60, deadline=None)
@given(st.integers(0), st.integers(0, 3000), st.integers(0, 3000))
def test_in_any_order_nothing_is_overrun_and_nothing_stays_held(seed: int, credit: int, budget: int) -> None:
    asyncio.run(in_any_order(Random(seed), {"tenant:t": credit, "budget:202611:key:k1": budget}))


async def in_any_order(random: Random, left: dict[str, int]) -> None:
    """Requests are counted, clipped, refused and cancelled anywhere; others take of the same accounts."""
    limits = {"key:k1": replace(RATED, monthly=Money(1)), "user:u": RATED}
    gateway = Gateway(left, limits, random=random, counts=random.random() < 0.5)
    spent = 0

    async def one() -> None:
        nonlocal spent
        await gateway.control.pause()
        answers, each = random.randint(1, 3), random.randint(0, 30)
        worst = WorstCase(random.randint(0, 60), answers * each, each)
        hold = await gateway.hold(worst, asked("a b", input_bytes=worst.input_tokens_max))
        billed = random.randint(0, hold.amount.pico_euro)
        try:
            assert hold.worst.output_tokens_each <= each
            await gateway.control.pause()
        finally:
            gateway.quota.settle(hold, Money(billed), NO_TOKENS)
            spent += billed

    async with asyncio.timeout(30):
        running = [asyncio.ensure_future(one()) for _ in range(25)]
        while not all(task.done() for task in running):
            await asyncio.sleep(0)
            gateway.doorway.closed = random.random() < 0.2
            if random.random() < 0.2:
                random.choice(running).cancel()
    ends = await asyncio.gather(*running, return_exceptions=True)
    assert {type(end) for end in ends} <= {type(None), QuotaExhausted, LimitReached, asyncio.CancelledError}
    assert gateway.held() == {}
    assert gateway.doorway.inside == []
    gateway.purse.give_back_all()
    assert {account: credit - gateway.control.left[account] for account, credit in left.items()} == dict.fromkeys(
        left, spent
    )
