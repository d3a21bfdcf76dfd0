"""Streams whose first byte is late are asked of another replica too: the whole service, one of two engines slow."""

import time
from pathlib import Path
from typing import Any

import httpx

from parvis.testing.processes import fake_engine
from parvis.testing.service import Service, served_by, service

MODEL = "fake-8b"
STREAMS = 12
SLOW_MS, HEDGE_MS = 20_000, 100
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "@tokens=5 Hello."}], "max_tokens": 20, "stream": True}


def stream(running: Service, **more: Any) -> tuple[str, float, str]:
    """The id of a request, how long all of it took, and what came."""
    head = {"authorization": f"Bearer {running.api_key}"}
    began_s = time.monotonic()
    url = f"{running.base_url}/chat/completions"
    answer = httpx.post(url, json={**BODY, **more}, headers=head, trust_env=False, timeout=60)
    return answer.headers["x-request-id"], time.monotonic() - began_s, answer.text


def test_a_slow_first_byte_is_had_from_another_replica_and_paid_once(tmp_path: Path) -> None:
    with fake_engine(model=MODEL) as slow, fake_engine(model=MODEL) as fast:
        engine = served_by(slow, model=MODEL)
        engine["addresses"] = [*engine["addresses"], *served_by(fast, model=MODEL)["addresses"]]
        env = {"PARVIS_ROUTING__HEDGE_AFTER_MS": str(HEDGE_MS)}
        with service(tmp_path / "home", engines={"one": engine}, env=env) as running:
            slow.faults(first_ms=SLOW_MS)
            seen = [stream(running) for _ in range(STREAMS)]
            assert all(text.endswith("data: [DONE]\n\n") for _, _, text in seen)
            assert max(took_s for _, took_s, _ in seen) < SLOW_MS / 1000
            ids = [request_id for request_id, _, _ in seen]
            rows = [row for row in running.usage_rows(of=ids) if row["id"] in ids]
            assert sorted(row["id"] for row in rows) == sorted(ids)
            assert {row["replica_id"] for row in rows} == {"one-1"}
            assert {row["tokens"]["output"] for row in rows} == {5}
            assert running.check() == []
