"""A limit holds for all gateways together, to the request, whoever keeps it: the store or a server of Valkey."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import httpx
import pytest

from parvis.domain.quota.limit import Level, Limits, Metric, Rate, SubjectLimits, Window, subject
from parvis.testing.locksmith import Locksmith
from parvis.testing.processes import FakeEngineProcess, fake_engine
from parvis.testing.redis import redis_server
from parvis.testing.service import served_by, service

MODEL = "fake-8b"
REQUESTS, PLACES = 20, 3
"""The limits."""
CALLERS = 60
"""A connection each: the kernel gives them to the gateways at will, and with so many each has some."""
STEP_S_MAX = 40.0


@pytest.fixture(scope="module")
def engine() -> Iterator[FakeEngineProcess]:
    with fake_engine() as one:
        yield one


@pytest.fixture(params=("store", "valkey"))
def keeper(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    if request.param == "store":
        yield {}
        return
    with redis_server() as url:
        yield {"PARVIS_LIMITS__VALKEY": url}


async def crowd(base_url: str, text: str, orders: str) -> list[httpx.Response]:
    """Many ask at once, each over a connection of its own."""
    body: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": orders}], "max_tokens": 9}
    async with (
        asyncio.timeout(STEP_S_MAX),
        httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=STEP_S_MAX) as client,
    ):
        key = {"authorization": f"Bearer {text}"}
        return await asyncio.gather(*(client.post("/chat/completions", json=body, headers=key) for _ in range(CALLERS)))


async def until_limited(base_url: str, text: str) -> None:
    """Each of many connections is told of a limit: all gateways know it, and what was set before it."""
    async with asyncio.timeout(STEP_S_MAX):
        while any("x-ratelimit-limit-requests" not in one.headers for one in await crowd(base_url, text, "")):
            pass


async def limited(locksmith: Locksmith, limits: Limits) -> str:
    """The text of a new key with these limits."""
    key, text = await locksmith.make()
    named = subject(Level.KEY, key.key_id)
    await locksmith.store.put_limits(SubjectLimits(named, key.organisation_id, key.tenant_id, limits))
    return text


def most_at_once(engine: FakeEngineProcess, orders: str) -> int:
    """How many requests with these orders the engine ever had at a time."""
    records = [one for one in engine.log() if orders in str(one.body)]
    moments = [(one.started_at, 1) for one in records] + [(one.ended_at or 0.0, -1) for one in records]
    return max(accumulate(step for _, step in sorted(moments)))


async def test_a_limit_holds_for_two_gateways_together(
    engine: FakeEngineProcess, keeper: dict[str, str], tmp_path: Path
) -> None:
    env = {"PARVIS_INFERENCE__WORKERS": "2", **keeper}
    long = f"@tokens=2 @gap_ms=400 {tmp_path.name}"
    with service(tmp_path / "home", engines={"one": served_by(engine, model=MODEL)}, env=env) as running:
        async with Locksmith(running.home) as locksmith:
            narrow = await limited(locksmith, Limits((Rate(Metric.REQUESTS, Window.MINUTE, REQUESTS),)))
            few = await limited(locksmith, Limits(concurrent_max=PLACES))
            wide = await limited(locksmith, Limits((Rate(Metric.REQUESTS, Window.HOUR, 10**6),)))
            await until_limited(running.base_url, wide)
            in_a_minute = await crowd(running.base_url, narrow, "@tokens=1")
            at_once = await crowd(running.base_url, few, long)
    assert Counter(answer.status_code for answer in in_a_minute) == {200: REQUESTS, 429: CALLERS - REQUESTS}
    refused = next(answer for answer in in_a_minute if answer.status_code == 429)
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    begins = f"The limit of {REQUESTS} requests a minute of this key is reached: 0 of it left"
    assert refused.json()["error"]["message"].startswith(begins)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert {answer.status_code for answer in at_once} == {200, 429}
    assert most_at_once(engine, long) == PLACES
