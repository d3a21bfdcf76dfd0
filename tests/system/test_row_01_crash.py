"""Promise 1: a crash loses or doubles no request.

Gateways are killed at random instants while fifty callers stream and ask. What the callers received is the oracle.
"""

import asyncio
import random
import sqlite3
import time
from collections import Counter
from pathlib import Path
from typing import Any, Literal

from parvis.testing.caller import Caller, Seen, chat
from parvis.testing.processes import fake_engine
from parvis.testing.service import Service, planted, served_by, service

CALLERS = 50
KILLS = {"C": 40, "N": 1000}
KILLS_OF_THE_CONTROL = 8
WORKERS = 4
KILL_INTERVAL_S = 0.45
SEED = 1
SOURCES = Path(__file__).parents[2] / "src"

SOON_AGAIN = {"parvis/adapters/processes/child.py": ("HEALTHY_S = 60.0", "HEALTHY_S = 0.0")}
"""Every death counts as the first: the growing pauses between restarts would make a thousand kills take a week."""
MARKER_BEFORE_COMMIT = {
    "parvis/flows/serve.py": (
        "        await trail.settle(delivery, billed, written_off)\n",
        """        import asyncio
        settle = lambda: asyncio.ensure_future(trail.settle(delivery, billed, written_off))
        asyncio.get_running_loop().call_later(0.01, settle)
""",
    )
}
"""The usage is settled in the background, ten milliseconds later: by then the final marker has left."""
Row = dict[str, Any]


class Load:
    """Callers that never stop asking until they are told to; a request that a kill cuts is not repeated."""

    def __init__(self, caller: Caller, seed: int) -> None:
        self.seen: list[Seen] = []
        self.stopping = False
        self._caller = caller
        self._random = random.Random(seed)

    async def run(self) -> None:
        await asyncio.gather(*(self._one_after_another() for _ in range(CALLERS)))

    async def _one_after_another(self) -> None:
        while not self.stopping:
            self.seen.append(await self._caller.ask("/v1/chat/completions", self._body()))

    def _body(self) -> dict[str, Any]:
        stream = self._random.random() < 0.7
        orders = f"@tokens={self._random.randint(1, 24)} @gap_ms={self._random.choice((0, 5, 20))}"
        return chat(f"tell me {len(self.seen)} {orders}", stream=stream)


async def kill_under_load(running: Service, kills: int, seed: int) -> list[Seen]:
    """The callers' log, complete: every request that was sent is in it, and all that came back of it."""
    instants = random.Random(seed)
    async with Caller(running.port, running.api_key) as caller:
        load = Load(caller, seed)
        work = asyncio.ensure_future(load.run())
        for _ in range(kills):
            await asyncio.sleep(instants.uniform(0, 2 * KILL_INTERVAL_S))
            await asyncio.to_thread(running.kill, "gateway", instants.choice)
        load.stopping = True
        await asyncio.wait_for(work, 60)
    return load.seen


def wrong(seen: list[Seen], rows: list[Row]) -> list[str]:
    """Where the ledger differs from what the callers received."""
    entries = Counter(row["id"] for row in rows)
    by_id = {row["id"]: row for row in rows}
    received = {one.request_id: one for one in seen if one.request_id}
    doubled = [f"{name}: {times} entries" for name, times in entries.items() if times > 1]
    lost = [f"{name}: answered, no entry" for name, one in received.items() if one.answered and name not in by_id]
    unpaid = [f"{name}: {complaint}" for name, row in by_id.items() if (complaint := _wrong(received.get(name), row))]
    return doubled + lost + unpaid


def _wrong(one: Seen | None, row: Row) -> str | None:
    """What is wrong with one entry, beside what its caller received (None: not even the head of a response)."""
    outcome, tokens = row["outcome"], row["tokens"]["output"]
    billed = tokens if row["billed"]["pico_euro"] else 0
    got = _tokens(one) if one else 0
    if billed > got:
        return f"{billed} tokens billed as {outcome}, {got} received"
    if one is None or not one.answered:
        return None
    if outcome == "completed":
        return None if billed == got else f"answered with {got} tokens, {billed} billed"
    if outcome == "in_doubt" and not one.stream:
        return None if tokens == got else f"answered with {got} tokens, {tokens} written off"
    return f"answered, but booked as {outcome}"


def _tokens(one: Seen) -> int:
    if one.stream:
        return one.tokens
    answered: int = one.json()["usage"]["completion_tokens"] if one.answered else 0
    return answered


def leases(running: Service) -> dict[str, int]:
    """What each gateway run still holds, in pico-euro. Read from the file itself, when nobody serves any more."""
    with sqlite3.connect(running.home / "parvis.sqlite") as books:
        held = books.execute("SELECT account, balance FROM accounts WHERE incarnation IS NOT NULL").fetchall()
    return {account: int(balance) for account, balance in held if int(balance)}


def report(seen: list[Seen], rows: list[Row], kills: int, took_s: float) -> None:
    outcomes = Counter(row["outcome"] for row in rows)
    answered = sum(one.answered for one in seen)
    cut = sum(one.tokens for one in seen if not one.answered)
    billed = sum(row["tokens"]["output"] for row in rows if row["outcome"] == "gateway_lost")
    print(f"\nrow 1: {kills} kills in {took_s:.1f} s, {len(seen)} requests, {answered} answered, {dict(outcomes)}")
    print(f"of cut streams {cut} tokens were received and {billed} billed")


async def crash(home: Path, sources: Path, kills: int, books_s_max: float) -> tuple[list[str], Service]:
    """Kill, wait for the books, compare."""
    options = {"PARVIS_INFERENCE__WORKERS": str(WORKERS)}
    with (
        fake_engine() as engine,
        service(home, engines={"fake": served_by(engine)}, source=sources, env=options) as running,
    ):
        started_s = time.monotonic()
        seen = await kill_under_load(running, kills, SEED)
        took_s = time.monotonic() - started_s
        rows = running.usage_rows(of=[one.request_id for one in seen if one.answered], within_s=books_s_max)
        report(seen, rows, kills, took_s)
        assert sum(one.answered for one in seen) > kills
        differences = wrong(seen, rows) + running.check()
    return differences, running


async def test_a_crash_loses_or_doubles_no_request(tmp_path: Path, level: Literal["C", "N"]) -> None:
    with planted(SOURCES, SOON_AGAIN) as sources:
        differences, ended = await crash(tmp_path / "home", sources, KILLS[level], books_s_max=20)
    assert differences == []
    assert leases(ended) == {}
    assert list((ended.home / "journal").glob("gw_*")) == []


async def test_control_a_final_marker_before_the_commit_is_noticed(tmp_path: Path) -> None:
    with planted(SOURCES, SOON_AGAIN | MARKER_BEFORE_COMMIT) as sources:
        differences, _ = await crash(tmp_path / "home", sources, KILLS_OF_THE_CONTROL, books_s_max=6)
    print(f"control of row 1: {len(differences)} differences, such as: {differences[:2]}")
    assert any("booked as gateway_lost" in difference for difference in differences)
