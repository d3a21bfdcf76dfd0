"""Promise 8: a client that leaves pays for what it got, and frees the GPU.

Callers leave in the middle of streams, before the first event, while a whole answer is computed, while they upload,
and after they stopped reading; by closing, by a reset, by a half-close; in the clear and over TLS. The engine's log
tells when it stopped; the callers' log tells what they had received.
"""

import asyncio
import random
import ssl
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import pytest

from parvis.adapters.certificates.authority import new_authority, server_names, sign_server
from parvis.app.tls import pinning_context
from parvis.testing.caller import Caller, Manner, Seen, chat
from parvis.testing.fake_engine.record import Record
from parvis.testing.processes import FakeEngineProcess
from parvis.testing.service import KINDS, Service, before_each_kind, planted

DISCONNECTS = {"C": 250, "N": 5_000}
TOKENIZER = "/tokenize"
"""Where an engine is asked to count what it did not count itself, after who left."""
CANCELLED_S_MAX = {"C": 10.0, "N": 1.0}
"""For the 99th percentile; at level C only hangs fail."""
AT_ONCE = 25
UPLOADED_BYTES = 250
"""The head is shorter, the whole request longer by more than the events of a leaving."""
SEED = 8
SOURCES = Path(__file__).parents[2] / "src"

RECORD_ONLY_SUCCESS = {
    "parvis/flows/serve.py": (
        "        await trail.settle(delivery, billed, written_off)\n",
        "        if delivery.outcome == 'completed':\n            await trail.settle(delivery, billed, written_off)\n",
    )
}
WAIT_FOR_THE_BUFFER = {
    "parvis/api/inference/connection.py": (
        "            self._exchange.client_left()  # the engine stops now",
        "            pass  # the engine stops now",
    )
}
Json = dict[str, Any]
Way = Literal["hanging", "gaps", "early", "whole", "upload", "deaf"]
By = Literal["close", "reset", "half"]
WAYS: tuple[Way, ...] = ("hanging", "hanging", "gaps", "early", "whole", "upload", "deaf")
BYS: tuple[By, ...] = ("close", "reset", "half")


@dataclass(frozen=True)
class Leaving:
    """One request and how its caller leaves it."""

    number: int
    way: Way
    by: By
    kind: str
    events: int
    wait_s: float

    @property
    def marker(self) -> str:
        """By which its request is found in the engine's log, when the caller has not even learnt its id."""
        return f"leaving-{self.number}"

    def body(self) -> Json:
        orders = {
            "hanging": f"@tokens=30 @hang_after={self.events}",
            "gaps": "@tokens=200 @gap_ms=10",
            "early": "@hang" if self.number % 2 else "@prefill_ms=20000",
            "whole": "@hang" if self.number % 2 else "@tokens=400 @gap_ms=50",
            "upload": "@tokens=1",
            "deaf": "@tokens=100000",
        }[self.way]
        choices = 8 if self.way == "deaf" else 1  # more than all buffers on the way can hold
        return chat(f"{self.marker} {orders}", stream=self.way != "whole", model=f"fake-{self.kind}", n=choices)

    @property
    def manner(self) -> Manner:
        match self.way:
            case "upload":
                return Manner(by=self.by, upload_bytes=UPLOADED_BYTES + self.events)
            case "deaf":
                return Manner(by=self.by, deaf_s=self.wait_s * 3)
            case _:
                return Manner(by=self.by)

    async def happen(self, caller: Caller) -> Seen:
        counted = self.way in ("hanging", "gaps", "deaf")
        return await caller.ask(
            "/v1/chat/completions",
            self.body(),
            leave_after=self.events if counted else None,
            leave_in_s=None if counted else self.wait_s,
            manner=self.manner,
        )


@dataclass(frozen=True)
class Left:
    """What a leaving came to: the caller's view, the engine's, and the ledger's."""

    leaving: Leaving
    seen: Seen
    record: Record
    row: Json | None

    @property
    def freed_s(self) -> float:
        """From the instant when the caller closed to the one when the engine stopped."""
        assert self.record.ended_at is not None
        assert self.seen.left_at_s is not None
        return self.record.ended_at - self.seen.left_at_s

    @property
    def unread(self) -> int:
        """Tokens that were billed, handed over, and not read by the caller."""
        return self.row["tokens"]["output"] - self.seen.tokens if self.row else 0

    def complaint(self) -> str | None:
        if self.leaving.way == "upload":
            return f"{self.leaving}: half a request reached the engine"
        if not self.record.cancelled:
            return f"{self.leaving}: the engine was not cancelled"
        if self.row is None:
            return f"{self.leaving}: no entry"
        tokens = self.row["tokens"]["output"]
        right = self.row["outcome"] == "client_left" and self._least() <= tokens <= self._most()
        return None if right else f"{self.leaving}: received {self.seen.tokens}, booked {tokens} {self.row['outcome']}"

    def _least(self) -> int:
        return self.seen.tokens if self.leaving.way in ("hanging", "gaps", "deaf") else 0

    def _most(self) -> int:
        """Of a stream that runs on, some tokens are on their way when the caller closes: what the engine wrote."""
        return self.record.tokens_written if self.leaving.way in ("gaps", "deaf") else self._least()


def leavings(count: int) -> list[Leaving]:
    dice = random.Random(SEED)
    return [
        Leaving(
            number,
            dice.choice(WAYS),
            dice.choice(BYS),
            dice.choice(list(KINDS)),
            dice.randint(1, 12),
            dice.uniform(0.05, 0.2),
        )
        for number in range(count)
    ]


async def leave_all(caller: Caller, wanted: list[Leaving]) -> list[tuple[Leaving, Seen]]:
    queue = iter(wanted)

    async def one_after_another() -> list[tuple[Leaving, Seen]]:
        return [(leaving, await leaving.happen(caller)) for leaving in queue]

    return list(chain(*await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))))


def compare(
    running: Service,
    engines: dict[str, FakeEngineProcess],
    done: list[tuple[Leaving, Seen]],
    books_s_max: float,
    freed_s_max: float = 15.0,
) -> list[Left]:
    """Bring the three views together. A request that never reached its engine is none.

    Raises TimeoutError when an engine still works after so many seconds.
    """
    records = {
        record.body["messages"][-1]["content"].split()[0]: record
        for engine in engines.values()
        for record in engine.ended(within_s=freed_s_max)
        if record.endpoint != TOKENIZER
    }
    names = {str(record.x_request_id) for record in records.values()}
    rows = {row["id"]: row for row in running.usage_rows(of=names, within_s=books_s_max)}
    known = ((leaving, seen, records.get(leaving.marker)) for leaving, seen in done)
    return [
        Left(leaving, seen, record, rows.get(str(record.x_request_id))) for leaving, seen, record in known if record
    ]


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
async def test_a_client_that_leaves_pays_for_what_it_got(
    tmp_path: Path,
    level: Literal["C", "N"],
    encrypted: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    env, tls = certified(tmp_path) if encrypted else ({}, None)
    with before_each_kind(tmp_path / "home", env=env) as (running, engines):
        async with Caller(running.port, running.api_key, tls) as caller:
            started_s = time.monotonic()
            done = await leave_all(caller, leavings(DISCONNECTS[level]))
            took_s = time.monotonic() - started_s
            left = compare(running, engines, done, books_s_max=30)  # before the half-closed ones are closed
        freed_s = sorted(one.freed_s for one in left)
        p50_s, p99_s = freed_s[len(freed_s) // 2], freed_s[len(freed_s) * 99 // 100]
        ways = Counter(f"{leaving.way} {leaving.by}" for leaving, _ in done)
        unread = [one.unread for one in left if one.row]
        print(f"\nrow 8, {'TLS' if encrypted else 'plain'}: {len(done)} disconnects in {took_s:.1f} s {dict(ways)}")
        print(f"the engine was free after p50 {p50_s:.4f} s, p99 {p99_s:.4f} s, at most {freed_s[-1]:.4f} s")
        print(f"billed beyond what was read: {sum(map(bool, unread))} times, at most {max(unread)} tokens")
        assert len(left) >= 0.98 * sum(leaving.way != "upload" for leaving, _ in done)
        assert [complaint for one in left if (complaint := one.complaint())][:5] == []
        assert p99_s <= CANCELLED_S_MAX[level]
        assert running.check() == []


def certified(folder: Path) -> tuple[Mapping[str, str], ssl.SSLContext]:
    """The settings of a certificate, and a client that trusts it."""
    now = datetime.now(UTC)
    made = sign_server(new_authority("parvis test", now), server_names(["127.0.0.1"]), now, 1)
    certificate, key = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(made.certificate_pem())
    key.touch(mode=0o600)
    key.write_bytes(made.key_pem())
    env = {"PARVIS_INFERENCE__TLS_CERT": str(certificate), "PARVIS_INFERENCE__TLS_KEY": str(key)}
    return env, pinning_context(str(certificate))


async def test_control_recording_only_success_is_noticed(tmp_path: Path) -> None:
    with (
        planted(SOURCES, RECORD_ONLY_SUCCESS) as sources,
        before_each_kind(tmp_path / "home", sources) as (running, engines),
    ):
        async with Caller(running.port, running.api_key) as caller:
            done = await leave_all(caller, leavings(50))
        left = compare(running, engines, done, books_s_max=1)
    complaints = [complaint for one in left if (complaint := one.complaint())]
    print(f"control of row 8: {len(complaints)} of {len(left)} leavings are wrong")
    assert len(complaints) == len(left)


async def test_control_waiting_for_who_reads_nothing_is_noticed(tmp_path: Path) -> None:
    with (
        planted(SOURCES, WAIT_FOR_THE_BUFFER) as sources,
        before_each_kind(tmp_path / "home", sources) as (running, engines),
    ):
        async with Caller(running.port, running.api_key) as caller:
            wanted = [one for one in leavings(250) if one.way == "deaf" and one.by == "half"]
            done = await leave_all(caller, wanted)
            with pytest.raises(TimeoutError):
                compare(running, engines, done, books_s_max=1, freed_s_max=2)
        running.kill_supervisor()  # it would wait for them once more
