"""Credit that is said before the first start is never overrun, and its end is told in the protocol's words."""

import asyncio
import json
from pathlib import Path

from parvis.testing.caller import Caller, Seen
from parvis.testing.processes import fake_engine
from parvis.testing.service import served_by, service

BODY = {
    "model": "fake-8b",
    "messages": [{"role": "user", "content": "hello @tokens=90 @reason=3900"}],
    "max_tokens": 4000,
}
CREDIT_PICO_EURO = 10**12


async def test_credit_is_not_overrun_by_requests_at_once(tmp_path: Path) -> None:
    with fake_engine() as engine:
        kinds = {"fake": served_by(engine, "vllm", "fake-8b")}
        with service(tmp_path / "home", engines=kinds, env={"PARVIS_MONEY__FIRST_CREDIT_EURO": "1"}) as running:
            caller = Caller(running.port, running.api_key)
            seen = [one for _ in range(20) for one in await _at_once(caller, 40)]
            statuses = {one.status for one in seen}
            refused = [one for one in seen if one.status == 429]
            total = running.get("/v1/usage")["total"]["billed"]["pico_euro"] if running.usage_rows() else 0
            assert statuses == {200, 429}
            assert {json.loads(one.received)["error"]["code"] for one in refused} == {"insufficient_quota"}
            # What is left does not cover another worst case of 4,000 tokens of the dearest class, and a little input.
            assert CREDIT_PICO_EURO - 4_200 * 21_000_000 <= total <= CREDIT_PICO_EURO
            assert running.check() == []


async def _at_once(caller: Caller, count: int) -> list[Seen]:
    return await asyncio.gather(*[caller.ask("/v1/chat/completions", BODY) for _ in range(count)])
