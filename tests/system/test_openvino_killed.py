"""A worker of OpenVINO's that is killed costs its own answers: the others go on, and another takes its place."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from parvis.testing.caller import Caller, Seen, chat
from parvis.testing.service import Service, service, wait_until

MODEL = "pair"
ENGINE: dict[str, Any] = {
    "kind": "openvino",
    "model": MODEL,
    "weights": "builtin:smollm2-135m-instruct",
    "replicas": 2,
    "threads": 1,
    "parallel": 8,
    "context_tokens": 2048,
}
STREAMS = 8
TOKENS = 400
AGAIN_S_MAX = 60.0


def ready(running: Service) -> int:
    return sum(replica["state"] == "ready" for replica in running.get("/v1/status")["replicas"])


async def ask(caller: Caller, number: int, tokens: int) -> Seen:
    body = chat(f"Count from {number}.", model=MODEL, max_tokens=tokens, ignore_eos=True)
    return await caller.ask("/v1/chat/completions", body)


@pytest.mark.timeout(240)
async def test_a_killed_worker_costs_its_own_answers(tmp_path: Path) -> None:
    with service(tmp_path / "home", engines={MODEL: ENGINE}) as running:
        async with Caller(running.port, running.api_key) as caller:
            asking = [asyncio.create_task(ask(caller, number, TOKENS)) for number in range(STREAMS)]
            await asyncio.sleep(2)
            assert not any(task.done() for task in asking)
            running.kill("openvino")
            seen = await asyncio.gather(*asking)
            told = Counter(
                "answered" if one.answered else "broke" if b'"error"' in one.received else "?" for one in seen
            )
            print(f"\n{dict(told)}")
            assert told["?"] == 0
            assert 0 < told["broke"] < STREAMS
            await asyncio.to_thread(wait_until, lambda: ready(running) == 2, "another took its place", AGAIN_S_MAX)
            again = await asyncio.gather(*(ask(caller, number, 8) for number in range(STREAMS)))
        assert all(one.answered for one in again)
        assert running.check() == []
