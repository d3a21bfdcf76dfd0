"""Three real llama.cpp servers under chat load: each is killed, frozen, slowed down and started anew in its turn.

No caller gets an error before the first byte of an answer. An answer that had begun on a server that goes away ends
with one error event, and no `[DONE]`. Who has healed is asked again.
"""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from parvis.testing.caller import Caller, Seen, chat
from parvis.testing.engine_servers import ALIAS, KEY, LlamaServer, llama_server
from parvis.testing.service import Service, service, wait_until

ROUNDS_S = {"C": 12.0, "N": 300.0}
STALL_S_MAX = 3
AWAY_S = 2.0
HEALED_S_MAX = 60.0
AT_ONCE = 6
MODEL = "three"
GOOD = 200
FREEZE_S, THAW_S = 0.09, 0.01
"""Of a slow one: in turns so long."""
Fault = Literal["kill", "freeze", "slow", "restart"]
FAULTS: tuple[Fault, ...] = ("kill", "freeze", "slow", "restart")


@contextmanager
def three_engines(folder: Path) -> Iterator[tuple[Service, list[LlamaServer]]]:
    key = folder / "engine.key"
    key.touch(mode=0o600)
    key.write_text(KEY)
    with ExitStack() as stack:
        engines = [stack.enter_context(llama_server("chat", folder, parallel=4)) for _ in range(3)]
        settings: dict[str, Any] = {
            "kind": "llama.cpp",
            "model": MODEL,
            "engine_model": ALIAS,
            "addresses": [engine.address for engine in engines],
            "api_key_file": str(key),
            "context_tokens": 512,
        }
        env = {"PARVIS_ROUTING__STALL_S_MAX": str(STALL_S_MAX)}
        yield stack.enter_context(service(folder / "home", engines={"three": settings}, env=env)), engines


@asynccontextmanager
async def chatting(running: Service) -> AsyncIterator[list[Seen]]:
    """Callers who ask one thing after another until the block ends."""
    seen: list[Seen] = []
    ended = asyncio.Event()

    async def one_after_another(caller: Caller, dice: random.Random) -> None:
        while not ended.is_set():
            question = f"Name {dice.randrange(2, 99)} things that {dice.choice(('swim', 'fly', 'burn', 'sing'))}."
            body = chat(question, model=MODEL, stream=dice.random() < 0.75, max_tokens=dice.randrange(4, 24))
            seen.append(await caller.ask("/v1/chat/completions", body))

    async with Caller(running.port, running.api_key) as caller:
        tasks = [asyncio.create_task(one_after_another(caller, random.Random(n))) for n in range(AT_ONCE)]
        yield seen
        ended.set()
        await asyncio.gather(*tasks)


async def befall(engine: LlamaServer, fault: Fault) -> None:
    """One fault, to its end: the engine is well again on return."""
    match fault:
        case "kill":
            os.kill(engine.pid, signal.SIGKILL)
            await asyncio.sleep(AWAY_S)
            await asyncio.to_thread(engine.restart)
        case "restart":
            await asyncio.to_thread(engine.restart)
        case "freeze":
            os.kill(engine.pid, signal.SIGSTOP)
            await asyncio.sleep(STALL_S_MAX + AWAY_S)
            os.kill(engine.pid, signal.SIGCONT)
        case "slow":
            until_s = time.monotonic() + AWAY_S
            while time.monotonic() < until_s:
                os.kill(engine.pid, signal.SIGSTOP)
                await asyncio.sleep(FREEZE_S)
                os.kill(engine.pid, signal.SIGCONT)
                await asyncio.sleep(THAW_S)


def _wait_until_asked(running: Service, replica_id: str) -> None:
    """From now on, as the ledger tells."""
    unix_ms = time.time() * 1000

    def asked() -> bool:
        rows = running.get("/v1/requests", limit=200)["data"]
        return any(row["replica_id"] == replica_id and row["started_unix_ms"] >= unix_ms for row in rows)

    wait_until(asked, f"{replica_id} is asked again", HEALED_S_MAX)


def verdict(seen: Seen) -> str:
    """`answered`, `broke` (it had begun, and says that it ends), or what a caller would call an error."""
    if seen.answered:
        return "answered"
    events = bytes(seen.received).split(b"\n\n")
    if seen.stream and seen.status == GOOD and seen.whole and not seen.done and len(events) > 2 and not events[-1]:
        *begun, last = [msgspec.json.decode(event.removeprefix(b"data: "), type=dict) for event in events[:-1]]
        if "error" in last and all("choices" in event for event in begun):
            return "broke"
    return f"{seen.request_id} {seen.status} {bytes(seen.received)!r}"


@pytest.mark.alone
@pytest.mark.timeout(1200)
async def test_three_engines_lose_nobody(tmp_path: Path, level: Literal["C", "N"]) -> None:
    faults: Counter[Fault] = Counter()
    with three_engines(tmp_path) as (running, engines):
        names = [replica["id"] for replica in running.get("/v1/status")["replicas"]]
        async with chatting(running) as seen:
            started_s, turn = time.monotonic(), 0
            while time.monotonic() - started_s < ROUNDS_S[level] or turn < len(FAULTS):
                number, fault = turn % len(engines), FAULTS[turn % len(FAULTS)]
                await befall(engines[number], fault)
                await asyncio.to_thread(_wait_until_asked, running, names[number])
                faults[fault] += 1
                turn += 1
        verdicts = Counter(map(verdict, seen))
        errors = [said for said in verdicts if said not in ("answered", "broke")]
        print(f"\nthree engines: {dict(faults)} in {time.monotonic() - started_s:.0f} s, {len(seen)} requests")
        print(
            f"answered {verdicts['answered']}, broke after their first byte {verdicts['broke']}, errors {len(errors)}"
        )
        assert errors[:3] == []
        assert running.check() == []
