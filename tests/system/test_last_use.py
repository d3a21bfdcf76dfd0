"""The last use of a key is known after an orderly end, however soon after the use that comes."""

import asyncio
import time
from pathlib import Path

import httpx

from parvis.domain.identity.key_text import read_key
from parvis.flows.ports import KeyUse
from parvis.testing.locksmith import Locksmith
from parvis.testing.processes import fake_engine
from parvis.testing.service import served_by, service


async def uses_of(home: Path, text: str) -> list[KeyUse]:
    shown = read_key(text)
    assert shown is not None
    async with Locksmith(home) as locksmith:
        return await locksmith.store.uses([shown.key_id])


def test_a_use_just_before_the_end_is_written_down(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with fake_engine() as engine, service(home, engines={"fake": served_by(engine)}) as running:
        before = time.time_ns() // 1_000_000
        key = {"authorization": f"Bearer {running.api_key}"}
        assert httpx.get(f"{running.base_url}/models", headers=key, trust_env=False).status_code == 200
        assert running.stop() == 0
        (use,) = asyncio.run(uses_of(home, running.api_key))
        assert use.last_unix_ms >= before
