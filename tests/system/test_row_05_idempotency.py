"""Promise 5: a retry is billed once.

Requests are sent one to five times in parallel under one `Idempotency-Key`, some once more later, some with another
body under the same key; to two gateways, which in one of the tests are killed all the while. The callers' log is the
oracle: all answers of a key are the same bytes, and the ledger has one entry for it.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from parvis.testing.caller import Caller, Seen, chat
from parvis.testing.processes import fake_engine
from parvis.testing.service import Service, planted, served_by, service

KEYS = {"C": 500, "N": 100_000}
"""At C fewer than a twentieth: they take about 15 s (docs/adr/0015-idempotent-answers.md)."""
KEYS_AMONG_DEATHS = {"C": 100, "N": 10_000}
KEYS_OF_THE_CONTROL = 40
KILLS = {"C": 3, "N": 150}
KILL_INTERVAL_S = 0.3
KEYS_AT_ONCE = 16
SENT_MAX = 5
ATTEMPTS_MAX = 60
WORKERS = 2
SEED = 5
REFUSED = 409
SOURCES = Path(__file__).parents[2] / "src"

SOON_AGAIN = {"parvis/adapters/processes/child.py": ("HEALTHY_S = 60.0", "HEALTHY_S = 0.0")}
"""Every death counts as the first: restarts do not wait longer and longer."""
EVERYBODY_RUNS = {
    "parvis/domain/metering/claim.py": (
        "    if earlier is None or claim.at_unix_ms - earlier.at_unix_ms >= KEPT_MS:",
        "    if claim is not None:",
    )
}
"""The key is taken from whoever has it, as if nothing said that it is one."""
Json = dict[str, Any]


@dataclass
class Key:
    """One key: what is sent under it, and what came back."""

    number: int
    body: Json
    parallel: int
    later: bool
    other: bool
    seen: list[Seen] = field(default_factory=list)
    refused: list[Seen] = field(default_factory=list)

    @property
    def headers(self) -> dict[str, str]:
        return {"idempotency-key": f"once-{self.number}"}

    @property
    def answered(self) -> list[Seen]:
        return [one for one in self.seen if one.answered]

    @property
    def undisturbed(self) -> bool:
        """No attempt was cut or sent away."""
        return all(one.answered for one in self.seen)

    def complaint(self) -> str | None:
        answers = {bytes(one.received) for one in self.answered}
        fresh = sum(not one.replayed for one in self.answered)
        if len(answers) != 1:
            return f"{self.number}: {len(answers)} different answers"
        if len(self.answered) != self.parallel + self.later:
            return f"{self.number}: {len(self.answered)} of {self.parallel + self.later} were answered"
        if fresh > 1 or (fresh == 0 and self.undisturbed):
            return f"{self.number}: {fresh} answers are no replays"
        codes = {one.json()["error"]["code"] for one in self.refused if one.status == REFUSED}
        if self.other and codes != {"idempotency_key_reused"}:
            return f"{self.number}: another body was answered {[one.status for one in self.refused]}"
        return None

    async def happen(self, caller: Caller) -> None:
        await asyncio.gather(*(self._send(caller) for _ in range(self.parallel)))
        if self.later:
            await self._send(caller)
        if self.other:
            await self._until_heard(caller, chat("another one"), self.refused)

    async def _send(self, caller: Caller) -> None:
        await self._until_heard(caller, self.body, self.seen)

    async def _until_heard(self, caller: Caller, body: Json, log: list[Seen]) -> None:
        """As a client does that wants its answer: again and again, under the same key."""
        for attempt in range(ATTEMPTS_MAX):
            seen = await caller.ask("/v1/chat/completions", body, headers=self.headers)
            log.append(seen)
            if seen.answered or seen.status == REFUSED:
                return
            await asyncio.sleep(min(0.05 * (attempt + 1), 0.5))


def keys(count: int) -> Iterator[Key]:
    dice = random.Random(SEED)
    for number in range(count):
        orders = f"@tokens={dice.randint(1, 12)} @gap_ms={dice.choice((0, 0, 2))}"
        stream = dice.random() < 0.6
        body = chat(f"number {number} {orders}", stream=stream)
        if stream and dice.random() < 0.5:
            body["stream_options"] = {"include_usage": True}
        yield Key(number, body, dice.randint(1, SENT_MAX), later=dice.random() < 0.2, other=dice.random() < 0.1)


async def send_all(caller: Caller, wanted: Iterator[Key]) -> list[Key]:
    done = []

    async def one_after_another() -> None:
        for key in wanted:
            await key.happen(caller)
            done.append(key)

    await asyncio.gather(*(one_after_another() for _ in range(KEYS_AT_ONCE)))
    return done


async def kill_now_and_then(running: Service, kills: int) -> None:
    dice = random.Random(SEED)
    for _ in range(kills):
        await asyncio.sleep(dice.uniform(0, 2 * KILL_INTERVAL_S))
        await asyncio.to_thread(running.kill, "gateway", dice.choice)


async def retry(home: Path, sources: Path, count: int, kills: int = 0) -> tuple[list[str], list[Key]]:
    """Send, kill, wait for the books, compare."""
    options = {"PARVIS_INFERENCE__WORKERS": str(WORKERS)}
    with (
        fake_engine() as engine,
        service(home, engines={"fake": served_by(engine)}, source=sources, env=options) as running,
    ):
        started_s = time.monotonic()
        async with Caller(running.port, running.api_key) as caller:
            killing = asyncio.ensure_future(kill_now_and_then(running, kills))
            done = await send_all(caller, keys(count))
            took_s = time.monotonic() - started_s
            killing.cancel()
        fresh = [one.request_id for key in done for one in key.answered if not one.replayed]
        rows = running.usage_rows(of=fresh)
        report(done, rows, took_s)
        return wrong(done, rows) + running.check(), done


def wrong(done: list[Key], rows: list[Json]) -> list[str]:
    """Where answers differ, or where the ledger differs from what was answered."""
    complaints = [complaint for key in done if (complaint := key.complaint())]
    outcomes = {row["id"]: row["outcome"] for row in rows}
    for key in done:
        names = {one.request_id for one in key.answered if not one.replayed}
        if not all(outcomes.get(name) in ("completed", "in_doubt") for name in names):
            complaints.append(f"{key.number}: answered, and the ledger has {[outcomes.get(name) for name in names]}")
    lost = sum(not key.undisturbed for key in done)
    if not len(done) <= len(rows) <= len(done) + sum(len(key.seen) - len(key.answered) for key in done):
        complaints.append(f"{len(rows)} entries of {len(done)} keys, of which {lost} were cut or sent away")
    return complaints


def report(done: list[Key], rows: list[Json], took_s: float) -> None:
    sent = sum(len(key.seen) + len(key.refused) for key in done)
    cut = sum(not key.undisturbed for key in done)
    replayed = sum(one.replayed for key in done for one in key.answered)
    outcomes = dict(Counter(row["outcome"] for row in rows))
    print(f"\nrow 5: {len(done)} keys, {sent} requests in {took_s:.1f} s; {replayed} replays, {cut} keys disturbed")
    print(f"entries: {outcomes}; refused: {sum(len(key.refused) for key in done)}")


async def test_a_retry_is_billed_once(tmp_path: Path, level: Literal["C", "N"]) -> None:
    """Without a death: exactly one entry a key."""
    complaints, done = await retry(tmp_path / "home", SOURCES, KEYS[level])
    assert complaints[:5] == []
    assert all(key.undisturbed for key in done)


async def test_a_retry_is_billed_once_though_gateways_die(tmp_path: Path, level: Literal["C", "N"]) -> None:
    """Who was cut pays for what was delivered; nobody is answered twice differently, or billed twice for an answer."""
    with planted(SOURCES, SOON_AGAIN) as sources:
        complaints, done = await retry(tmp_path / "home", sources, KEYS_AMONG_DEATHS[level], KILLS[level])
    assert complaints[:5] == []
    assert not all(key.undisturbed for key in done)


async def test_control_a_key_that_everybody_takes_is_noticed(tmp_path: Path) -> None:
    with planted(SOURCES, EVERYBODY_RUNS) as sources:
        complaints, _ = await retry(tmp_path / "home", sources, KEYS_OF_THE_CONTROL)
    print(f"control of row 5: {len(complaints)} complaints, such as {complaints[0]}")
    assert any("different answers" in complaint for complaint in complaints)
    assert any("entries of" in complaint for complaint in complaints)
