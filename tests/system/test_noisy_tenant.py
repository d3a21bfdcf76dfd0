"""A noisy tenant costs a quiet one next to nothing: turns are shared between tenants, at two gateways together.

The noisy one has 50 times as many requests under way as the quiet one, far more than the engine has slots. At level C
the quiet one's wait is compared with the noisy one's; at level N its p99 to the first token with that of being alone,
in the same run.
"""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from itertools import accumulate, count
from pathlib import Path
from random import Random
from statistics import median, quantiles
from typing import Literal, NamedTuple

import pytest

from parvis.testing.caller import Caller, Json, chat
from parvis.testing.locksmith import Locksmith
from parvis.testing.processes import FakeEngineProcess, fake_engine
from parvis.testing.service import Service, planted, served_by, service

NOISY_TIMES = 50
GAP_MS = 10
TOKENS = (1, 16)
"""Of each answer, between these: so that slots become free all the time, and not all at once."""
PART_MAX = 0.5
"""Of the noisy one's median wait, at level C."""
TIMES_ALONE_MAX = 1.5
KNOWN_S = 1.5
"""By then every gateway knows of a new key."""
RUN_S_MAX = 400.0
SOURCES = Path(__file__).parents[2] / "src"
PLAIN_FIFO = {
    "parvis/domain/fleet/fair_queue.py": (
        "        top: Ticket | None = None\n",
        "        if not passed:\n            return next(iter(self._tickets), None)\n        top = None\n",
    )
}


class Size(NamedTuple):
    """Of one run."""

    slots: int
    prefill_ms: int
    at_once: int
    """Requests of the quiet one."""
    alone: int
    """Requests of the quiet one by itself, and beside the noisy one."""
    beside: int


SIZES = {
    "C": Size(slots=8, prefill_ms=150, at_once=1, alone=8, beside=20),
    "N": Size(slots=32, prefill_ms=300, at_once=2, alone=300, beside=500),
}


class Waited(NamedTuple):
    """Seconds to the first token of each request that was answered, and what the others were told."""

    first_s: list[float]
    refused: Counter[int]


class Run(NamedTuple):
    """What one run came to."""

    alone: Waited
    quiet: Waited
    noisy: Waited
    most_at_once: int

    @property
    def baseline_s(self) -> float:
        return median(self.alone.first_s)


class Tenants(NamedTuple):
    """Their keys."""

    quiet: str
    noisy: str


async def ask(port: int, api_key: str, prefill_ms: int, random: Random, waited: Waited) -> None:
    """Over a connection of its own, so that any of the gateways may get it."""
    orders = f"@prefill_ms={prefill_ms} @gap_ms={GAP_MS} @tokens={random.randint(*TOKENS)}"
    body: Json = chat(orders, max_tokens=TOKENS[1])
    async with Caller(port, api_key) as caller:
        asked_s = time.monotonic()
        seen = await caller.ask("/v1/chat/completions", body)
    if seen.answered and seen.first_at_s is not None:
        waited.first_s.append(seen.first_at_s - asked_s)
    else:
        waited.refused[seen.status] += 1


async def ask_all(port: int, api_key: str, prefill_ms: int, at_once: int, requests: int | None = None) -> Waited:
    """So many, always so many at once; without a number until cancelled."""
    waited, random = Waited([], Counter()), Random(7)
    numbers = iter(range(requests)) if requests else count()

    async def one_after_another() -> None:
        for _ in numbers:
            await ask(port, api_key, prefill_ms, random, waited)

    with suppress(asyncio.CancelledError):
        await asyncio.gather(*(one_after_another() for _ in range(at_once)))
    return waited


async def run(running: Service, engine: FakeEngineProcess, size: Size) -> Run:
    tenants = await move_in(running)
    port, prefill_ms = running.port, size.prefill_ms
    async with asyncio.timeout(RUN_S_MAX):
        alone = await ask_all(port, tenants.quiet, prefill_ms, size.at_once, size.alone)
        noise = asyncio.ensure_future(ask_all(port, tenants.noisy, prefill_ms, size.at_once * NOISY_TIMES))
        await asyncio.sleep(2.0)
        quiet = await ask_all(port, tenants.quiet, prefill_ms, size.at_once, size.beside)
        noise.cancel()
        noisy = await noise
    records = engine.log()
    moments = [(one.started_at, 1) for one in records] + [(one.ended_at or time.monotonic(), -1) for one in records]
    return Run(alone, quiet, noisy, max(accumulate(step for _, step in sorted(moments))))


async def move_in(running: Service) -> Tenants:
    """Two tenants, each with a key."""
    async with Locksmith(running.home) as locksmith:
        tenant = await locksmith.tenant()
        await locksmith.store.create_tenant("noisy", tenant.organisation_id, "Noisy", credit_unlimited=True)
        keys = [await locksmith.make(one) for one in await locksmith.store.tenants()]
        texts = {key.tenant_id: text for key, text in keys}
        made = Tenants(texts[tenant.tenant_id], texts["noisy"])
    await asyncio.sleep(KNOWN_S)
    return made


def complaints(done: Run, size: Size, level: Literal["C", "N"]) -> list[str]:
    """What is not as promised."""
    found = []
    if done.quiet.refused:
        found.append(f"the quiet tenant was refused: {done.quiet.refused}")
    if done.most_at_once > size.slots:
        found.append(f"{done.most_at_once} requests were on {size.slots} slots")
    quiet_s, noisy_s = (median(one.first_s) - done.baseline_s for one in (done.quiet, done.noisy))
    if quiet_s > PART_MAX * noisy_s:
        found.append(f"the quiet tenant waited {quiet_s:.3f} s where the noisy one waited {noisy_s:.3f} s")
    if level == "N" and p99_s(done.quiet) > TIMES_ALONE_MAX * p99_s(done.alone):
        found.append(f"p99 to the first token is {p99_s(done.quiet):.3f} s, and alone {p99_s(done.alone):.3f} s")
    return found


def p99_s(waited: Waited) -> float:
    return quantiles(waited.first_s, n=100)[98]


def report(done: Run) -> None:
    for name, waited in (("alone", done.alone), ("quiet", done.quiet), ("noisy", done.noisy)):
        p50_s = median(waited.first_s)
        print(
            f"{name}: {len(waited.first_s)} answered, p50 {p50_s:.3f} s, p99 {p99_s(waited):.3f} s to the first token"
        )
        if waited.refused:
            print(f"{name}: refused {dict(waited.refused)}")
    print(f"at most {done.most_at_once} at once on the engine")


async def story(folder: Path, level: Literal["C", "N"], size: Size, source: Path | None = None) -> list[str]:
    env = {"PARVIS_INFERENCE__WORKERS": "2"}
    with fake_engine() as engine:
        engines = {"one": served_by(engine, slots=size.slots)}
        with service(folder, engines=engines, env=env, source=source) as running:
            done = await run(running, engine, size)
    report(done)
    return complaints(done, size, level)


@pytest.mark.alone
async def test_a_noisy_tenant_does_not_keep_a_quiet_one_waiting(tmp_path: Path, level: Literal["C", "N"]) -> None:
    assert await story(tmp_path / "home", level, SIZES[level]) == []


@pytest.mark.alone
async def test_control_first_come_first_served_is_noticed(tmp_path: Path, level: Literal["C", "N"]) -> None:
    with planted(SOURCES, PLAIN_FIFO) as sources:
        found = await story(tmp_path / "home", level, SIZES[level]._replace(alone=6, beside=8), sources)
    assert any("waited" in one for one in found)
