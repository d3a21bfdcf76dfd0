"""Promise 25: slow clients hurt nobody.

A crowd sends heads and bodies a byte at a time and takes streams a byte at a time, from an address that has its share
of places and no more. Who notices that he was thrown out comes back; a slow reader, whose kernel is full, notices
nothing, so of those the ledger tells. Good clients are answered as before, and the gateway stays as small as it was.
"""

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from parvis.testing.caller import Caller, Seen, chat
from parvis.testing.processes import FakeEngineProcess, fake_engine
from parvis.testing.raw_http import request
from parvis.testing.service import Service, planted, served_by, service
from parvis.testing.slow_clients import Crowd, Stays, slow_clients
from parvis.testing.slow_clients import Seen as SeenByCrowd

Level = Literal["C", "N"]
SOURCES = Path(__file__).parents[2] / "src"
pytestmark = pytest.mark.alone
MODEL = "fake-8b"
SLOWER_MAX = 1.25
GROWTH_BYTES_MAX = 100_000_000
GOOD_AT_ONCE = 4
GOOD_PAUSE_S = 0.03
STREAM: dict[str, Any] = {"logprobs": True, "top_logprobs": 20}
STREAM_TOKENS = 200
"""Of 3 kB each: more than fits between an engine and a client that takes nothing, and little work for an engine."""


@dataclass(frozen=True)
class Size:
    """How many slow clients of each kind, what the operator has set, and how long each part lasts."""

    heads: int
    bodies: int
    readers: int
    beyond: int
    head_s: int
    body_s: int
    stall_s: int
    gap_s: float
    calm_s: float
    crowded_s: float
    after_s: float
    """How long the crowd stays when good clients are not watched any more, so that all of it is thrown out."""
    slack_s: float
    """Of a deadline: a sweep a second, a turn of the slow client, the time that it takes to fill a stream's buffers."""

    @property
    def settings(self) -> dict[str, str]:
        values = {
            "head_s_max": self.head_s,
            "body_s_max": self.body_s,
            "stall_s_max": self.stall_s,
            "connections_per_address_max": self.heads + self.bodies + self.readers,
        }
        return {f"PARVIS_INFERENCE__{name.upper()}": str(value) for name, value in values.items()}

    def crowd(self, running: Service) -> Crowd:
        body = json.dumps(chat(f"@tokens={STREAM_TOKENS} Go.", model=MODEL, **STREAM)).encode()
        stream = request("POST", "/v1/chat/completions", body=body, key=running.api_key).decode()
        return Crowd(running.port, self.heads, self.bodies, self.readers, stream, self.gap_s, self.beyond)


SIZES = {
    "C": Size(50, 50, 25, 25, head_s=1, body_s=1, stall_s=1, gap_s=0.5, calm_s=1.5, crowded_s=8, after_s=0, slack_s=6),
    "N": Size(
        1000, 1000, 500, 250, head_s=10, body_s=20, stall_s=60, gap_s=5, calm_s=30, crowded_s=50, after_s=30, slack_s=15
    ),
}


@dataclass(frozen=True)
class Spell:
    """What good clients saw for a while."""

    answers: list[Seen]
    took_s: list[float]

    @property
    def failed(self) -> int:
        return sum(not seen.answered for seen in self.answers)

    def p99_s(self) -> float:
        return sorted(self.took_s)[len(self.took_s) * 99 // 100]


@dataclass(frozen=True)
class Watched:
    """One whole run."""

    size: Size
    calm: Spell
    crowded: Spell
    crowd: SeenByCrowd
    streams_s: list[float]
    """How long the ledger says that each slow reader's stream lasted."""
    growth_bytes: int

    def complaints(self) -> list[str]:
        size, seen = self.size, self.crowd
        found = [f"{self.crowded.failed} of {len(self.crowded.answers)} good requests failed"]
        found *= bool(self.crowded.failed or self.calm.failed)
        found += self._stayed("head", seen.heads, size.head_s)
        found += self._stayed("body", seen.bodies, size.body_s)
        readers = Stays(thrown_out=len(self.streams_s), stayed_s_max=max(self.streams_s, default=0.0))
        found += self._stayed("reader", readers, size.stall_s)
        found += ["slow readers were not given their streams"] * (len(self.streams_s) < size.readers // 2)
        found += ["nobody was refused"] * (seen.beyond.refused < size.beyond // 2)
        found += [f"the gateway grew by {self.growth_bytes:,} bytes"] * (self.growth_bytes > GROWTH_BYTES_MAX)
        return found

    def _stayed(self, what: str, stays: Stays, limit_s: float) -> list[str]:
        late = not stays.thrown_out or stays.stayed_s_max > limit_s + self.size.slack_s
        return [f"a slow {what} could stay"] * late


async def good_clients(caller: Caller, for_s: float) -> Spell:
    """Whole answers and streams, asked for at a moderate pace."""
    numbers = itertools.count()
    until_s = time.monotonic() + for_s
    answers: list[Seen] = []
    took_s: list[float] = []

    async def one_after_another() -> None:
        while time.monotonic() < until_s:
            started_s = time.monotonic()
            seen = await caller.ask("/v1/chat/completions", chat("@tokens=8 Hi.", stream=next(numbers) % 2 == 0))
            took_s.append(time.monotonic() - started_s)
            answers.append(seen)
            await asyncio.sleep(GOOD_PAUSE_S)

    await asyncio.gather(*(one_after_another() for _ in range(GOOD_AT_ONCE)))
    return Spell(answers, took_s)


def resident_bytes(pid: int) -> int:
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


async def peak_of(pid: int, until: asyncio.Event) -> int:
    peak = 0
    while not until.is_set():
        peak = max(peak, resident_bytes(pid))
        await asyncio.sleep(0.1)
    return peak


async def settled(engine: FakeEngineProcess) -> None:
    """Return when no stream runs any more: those of the slow readers are held up."""
    before, now = -1, 0
    while now != before:
        await asyncio.sleep(0.5)
        before, now = now, sum(record.tokens_written for record in await asyncio.to_thread(engine.log))


@contextmanager
def house(home: Path, size: Size, source: Path | None = None) -> Iterator[tuple[Service, FakeEngineProcess]]:
    with (
        fake_engine(model=MODEL) as engine,
        service(home, engines={"fake": served_by(engine, model=MODEL)}, source=source, env=size.settings) as running,
    ):
        yield running, engine


async def watch(running: Service, engine: FakeEngineProcess, size: Size) -> Watched:
    [gateway] = running.pids("gateway")
    async with Caller(running.port, running.api_key) as caller:
        await good_clients(caller, 0.5)  # whatever is done once
        calm = await good_clients(caller, size.calm_s)
        before_bytes, over = resident_bytes(gateway), asyncio.Event()
        peak = asyncio.create_task(peak_of(gateway, over))
        crowd = slow_clients(size.crowd(running))
        process = await asyncio.to_thread(crowd.__enter__)
        try:
            await settled(engine)
            crowded = await good_clients(caller, size.crowded_s)
            await asyncio.sleep(size.after_s)
        finally:
            await asyncio.to_thread(crowd.__exit__, None, None, None)
            over.set()
        growth_bytes = await peak - before_bytes
        calm_again = await good_clients(caller, size.calm_s)
    calm = Spell(calm.answers + calm_again.answers, calm.took_s + calm_again.took_s)
    rows = await asyncio.to_thread(running.usage_rows)
    streams_s = [row["total_ms"] / 1000 for row in rows if row["outcome"] == "client_left"]
    return Watched(size, calm, crowded, process.seen, streams_s, growth_bytes)


def told(watched: Watched) -> str:
    calm_s, crowded_s = watched.calm.p99_s(), watched.crowded.p99_s()
    stays = "; ".join(
        f"{what} {one.came} came, {one.thrown_out} thrown out, {one.refused} refused, stayed {one.stayed_s_max:.1f} s"
        for what in ("heads", "bodies", "readers", "beyond")
        for one in [getattr(watched.crowd, what)]
    )
    stays += (
        f"; of {len(watched.streams_s)} streams of slow readers one lasted {max(watched.streams_s, default=0):.1f} s"
    )
    return (
        f"good clients: p99 {calm_s * 1000:.1f} ms calm, {crowded_s * 1000:.1f} ms crowded"
        f" ({crowded_s / calm_s:.2f} x), {watched.crowded.failed} of {len(watched.crowded.answers)} failed;"
        f" the gateway grew by {watched.growth_bytes / 1e6:.0f} MB\nslow clients: {stays}"
    )


async def test_slow_clients_hurt_nobody(tmp_path: Path, level: Level) -> None:
    size = SIZES[level]
    with house(tmp_path / "home", size) as (running, engine):
        watched = await watch(running, engine, size)
        assert running.check() == []
    print(f"\nrow 25: {told(watched)}")
    assert watched.complaints() == []
    if level == "N":
        assert watched.crowded.p99_s() <= SLOWER_MAX * watched.calm.p99_s()


NO_DEADLINE_AND_NO_CAP = {
    "parvis/api/inference/listener.py": ("if guest.deadline_s < now]", "if guest.deadline_s < 0.0]"),
    "parvis/api/inference/places.py": ("here >= self._limits.connections_per_address_max", "here < 0"),
}


async def test_control_no_deadline_and_no_cap_are_noticed(tmp_path: Path) -> None:
    size = SIZES["C"]
    with (
        planted(SOURCES, NO_DEADLINE_AND_NO_CAP) as sources,
        house(tmp_path / "home", size, sources) as (running, engine),
    ):
        complaints = (await watch(running, engine, size)).complaints()
    print(f"control of row 25: {complaints}")
    assert set(complaints) >= {f"a slow {what} could stay" for what in ("head", "body", "reader")}
    assert "nobody was refused" in complaints
