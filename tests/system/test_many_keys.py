"""A hundred thousand keys: what a gateway takes for them, and that nobody waits while they come."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any, Literal, Self

import httpx
import pytest
from sqlalchemy import Connection, insert

from parvis.adapters.store.identity_tables import api_keys
from parvis.adapters.store.store import SqlStore
from parvis.core.ids import ALPHABET
from parvis.testing.processes import fake_engine
from parvis.testing.service import Service, served_by, service, wait_until

pytestmark = pytest.mark.alone
KEYS = {"C": 20_000, "N": 100_000}
WHOLE = KEYS["N"]
RSS_MB_MAX = 150
WAITED_S_MAX = 5.0
"""Of a caller while keys come. The loop's own stalls are measured by tests/contracts/test_link_directory.py."""


def rss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def key_id(number: int) -> str:
    return "".join(ALPHABET[(number >> shift) & 31] for shift in range(75, -5, -5))


async def add_keys(home: Path, count: int) -> None:
    """In one transaction: by the API it would take minutes."""
    store = SqlStore(f"sqlite:///{home / 'parvis.sqlite'}")
    await store.open()
    (first,) = await store.keys()

    def add(connection: Connection) -> None:
        same: dict[str, Any] = {"organisation_id": first.organisation_id, "tenant_id": first.tenant_id, "active": True}
        for start in range(0, count, 10_000):
            rows = [
                {
                    **same,
                    "key_id": key_id(number),
                    "name": f"key number {number}",
                    "digests": [number.to_bytes(32).hex()],
                    "secrets_made": [1_784_000_000_000 + number],
                    "secrets_end": [None],
                    "models": ["*"] if number % 2 else ["fake-8b", "another-model"],
                    "tags": ["a-tag"],
                    "created_unix_ms": 1_784_000_000_000 + number,
                }
                for number in range(start, start + 10_000)
            ]
            connection.execute(insert(api_keys), rows)

    await store.database.run(add)
    await store.close()


class Waiting:
    """A caller who asks again and again, and remembers the longest wait."""

    def __init__(self, running: Service) -> None:
        self._running = running
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.longest_s = 0.0
        self.statuses: set[int] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        key = {"authorization": f"Bearer {self._running.api_key}"}
        with httpx.Client(base_url=self._running.base_url, headers=key, trust_env=False, timeout=30) as client:
            while not self._over.is_set():
                before_s = time.perf_counter()
                self.statuses.add(client.get("/models").status_code)
                self.longest_s = max(self.longest_s, time.perf_counter() - before_s)


@pytest.mark.slow
def test_a_gateway_keeps_a_hundred_thousand_keys_in_little_memory(tmp_path: Path, level: Literal["C", "N"]) -> None:
    count = KEYS[level]
    comes_mb = 25 * count / WHOLE
    with fake_engine() as engine, service(tmp_path / "home", engines={"fake": served_by(engine)}) as running:
        (gateway,) = running.pids("gateway")
        before_mb = rss_mb(gateway)
        asyncio.run(add_keys(running.home, count))
        with Waiting(running) as waiting:
            running.kill("control")  # the next one reads all of them, and tells the gateway
            wait_until(lambda: rss_mb(gateway) > before_mb + comes_mb, "the keys have come", 60)
            settled_mb = wait_for_rest(gateway)
        again = running.kill_gateway()
        wait_until(lambda: running.pids("gateway") not in ([], [again]), "another gateway has started")
        (fresh,) = running.pids("gateway")
        wait_until(lambda: rss_mb(fresh) > before_mb + comes_mb, "the keys have come", 60)
        fresh_mb = wait_for_rest(fresh)
        (control,) = running.pids("control")
        whole_mb = [before_mb + (mb - before_mb) * WHOLE / count for mb in (settled_mb, fresh_mb)]
        print(f"\n{count} keys: gateway {before_mb:.0f} -> {settled_mb:.0f} MB, started anew {fresh_mb:.0f} MB")
        print(f"control {rss_mb(control):.0f} MB; a caller waited for {waiting.longest_s * 1e3:.0f} ms at most")
        assert waiting.statuses == {200}
        assert waiting.longest_s < WAITED_S_MAX
        assert max(whole_mb) <= RSS_MB_MAX


def wait_for_rest(pid: int) -> float:
    """The megabytes of a process once they grow no more for a second."""
    seen, since_s = 0.0, time.monotonic()
    while time.monotonic() - since_s < 1.0:
        now = rss_mb(pid)
        if now > seen + 0.5:
            seen, since_s = now, time.monotonic()
        time.sleep(0.05)
    return seen
