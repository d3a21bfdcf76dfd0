"""What callers read of limits and costs, with the official client: rates in heads, answers that are cut, refusals."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from parvis.core.tokens import TokenCount
from parvis.domain.billing.price import cost
from parvis.flows.first_start import FIRST_PRICES, TENANT_ID
from parvis.testing.service import wait_until

CHAT = "smollm2-135m-instruct"
ANSWER_S_MAX = 30.0
DURATION = re.compile(r"(\d+h)?(\d+m)?(\d+(\.\d+)?m?s)")
Asking = Callable[..., openai.OpenAI]


@pytest.fixture
def asking(house: Any) -> Iterator[Asking]:
    """A client with a key of its own, under these limits."""
    clients = []
    operator = house.service.operator

    def one(**limits: object) -> openai.OpenAI:
        made = operator.post("/v1/keys", json={"name": "limited", "tenant_id": TENANT_ID}).json()
        operator.put(f"/v1/limits/key:{made['id']}", json=limits).raise_for_status()
        base_url = house.service.base_url
        client = openai.OpenAI(base_url=base_url, api_key=made["key"], timeout=ANSWER_S_MAX, max_retries=0)
        clients.append(client)
        wait_until(lambda: knows(client), "the gateway knows the key, and so its limits")
        return client

    yield one
    for client in clients:
        client.close()


def knows(client: openai.OpenAI) -> bool:
    try:
        return bool(client.models.list().data)
    except openai.AuthenticationError:
        return False


def ask(client: openai.OpenAI, text: str = "@tokens=5 Hello.", **more: Any) -> Any:
    """The raw answer: its head, and by `parse` its body."""
    messages: Any = [{"role": "user", "content": text}]
    return client.chat.completions.with_raw_response.create(model=CHAT, messages=messages, **more)


# ----------------------------------------------------------------------------------------------------- rates


def test_a_head_tells_how_the_tightest_rates_stand(asking: Asking) -> None:
    head = ask(asking(requests_per_minute=30, output_tokens_per_hour=100_000), max_tokens=20).headers
    assert (head["x-ratelimit-limit-requests"], head["x-ratelimit-limit-tokens"]) == ("30", "100000")
    assert 0 <= int(head["x-ratelimit-remaining-requests"]) < 30
    assert 0 <= int(head["x-ratelimit-remaining-tokens"]) < 100_000
    for kind in ("requests", "tokens"):
        assert DURATION.fullmatch(head[f"x-ratelimit-reset-{kind}"])


def test_who_has_no_rates_reads_of_none(asking: Asking) -> None:
    assert not [name for name in ask(asking(monthly_euro="5")).headers if name.startswith("x-ratelimit")]


def test_a_refusal_at_a_rate_says_when_to_come_again(asking: Asking) -> None:
    client = asking(requests_per_hour=2)
    for _ in range(2):
        ask(client)
    with pytest.raises(openai.RateLimitError, match="limit of 2 requests an hour of this key") as refusal:
        ask(client)
    head = refusal.value.response.headers
    assert (refusal.value.code, refusal.value.type) == ("rate_limit_exceeded", "rate_limit_error")
    assert (head["x-ratelimit-limit-requests"], head["x-ratelimit-remaining-requests"]) == ("2", "0")
    assert DURATION.fullmatch(head["x-ratelimit-reset-requests"])
    assert 1 <= int(head["retry-after"]) <= 60
    assert "x-should-retry" not in head


# ---------------------------------------------------------------------------------------------------- budgets


def test_an_answer_is_cut_to_what_is_left_and_says_so(asking: Asking, house: Any) -> None:
    client = asking(monthly_euro="0.0005")
    house.engine.reset()
    whole = ask(client, "@tokens=500 Hello.", max_tokens=500, extra_body={"min_tokens": 400})
    answer = whole.parse()
    cut, _, why = whole.headers["x-parvis-clipped"].partition("; ")
    assert cut == f"max_tokens={answer.usage.completion_tokens}"
    assert why == "budget of key"
    assert answer.choices[0].finish_reason == "length"
    asked = [record.body for record in house.engine.ended(count=1) if "max_tokens" in (record.body or {})]
    assert [(body["max_tokens"], body["min_tokens"]) for body in asked] == [(answer.usage.completion_tokens,) * 2]


def test_a_stream_that_is_cut_says_so_in_its_head_and_on_demand_in_its_usage(asking: Asking) -> None:
    options = {"include_usage": True, "include_cost": True}
    raw = ask(asking(monthly_euro="0.0005"), "@tokens=500 Hello.", stream=True, stream_options=options)
    *chunks, last = list(raw.parse())
    assert chunks[-1].choices[0].finish_reason == "length"
    assert (
        raw.headers["x-parvis-clipped"]
        == last.usage.clipped
        == f"max_tokens={last.usage.completion_tokens}; budget of key"
    )


def test_a_refusal_for_want_of_budget_explains_itself_and_is_not_tried_again(asking: Asking) -> None:
    with pytest.raises(openai.RateLimitError, match=r"monthly budget of 0.0000001 € of this key") as refusal:
        ask(asking(monthly_euro="0.0000001"))
    assert (refusal.value.code, refusal.value.type) == ("insufficient_quota", "insufficient_quota")
    assert refusal.value.response.headers["x-should-retry"] == "false"
    assert "0.0000001 € is left. It begins anew on " in str(refusal.value)


# ------------------------------------------------------------------------------------------------------ costs


def euro_of(usage: Any) -> str:
    reasoning = usage.completion_tokens_details.reasoning_tokens
    tokens = TokenCount(usage.prompt_tokens, 0, usage.completion_tokens - reasoning, reasoning)
    return cost(tokens, FIRST_PRICES).decimal() + " EUR"


def test_a_whole_answer_tells_its_cost_in_its_head(asking: Asking) -> None:
    raw = ask(asking(), "@tokens=7 @reason=3 Hello.", extra_headers={"origin": "https://page.example"})
    assert raw.headers["x-parvis-cost"] == euro_of(raw.parse().usage)
    exposed = raw.headers["access-control-expose-headers"]
    assert {"x-parvis-cost", "x-parvis-clipped"} <= set(exposed.split(", "))
    assert "x-parvis-clipped" not in raw.headers


def test_a_stream_tells_its_cost_only_on_demand(asking: Asking) -> None:
    client = asking()
    told = []
    for more in ({}, {"include_cost": True}):
        raw = ask(client, "@tokens=7 @reason=3 Hello.", stream=True, stream_options={"include_usage": True, **more})
        told.append(list(raw.parse())[-1].usage)
    assert told[1].cost == euro_of(told[1])
    assert not hasattr(told[0], "cost")
    assert not hasattr(told[1], "clipped")
    with pytest.raises(openai.BadRequestError, match="'include_cost' needs 'include_usage'"):
        ask(client, stream=True, stream_options={"include_cost": True})
