"""A real store on SQLite, a clock that stands still, and a mint."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from parvis.adapters.store.store import SqlStore
from parvis.flows.keys import Mint
from parvis.testing.empty_store import empty_store

NOW_UNIX_MS = 1_784_000_000_000


class StillClock:
    """Time that nobody moves."""

    def unix_ms(self) -> int:
        return NOW_UNIX_MS

    def monotonic_s(self) -> float:
        return 1000.0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    store = SqlStore(empty_store(tmp_path / "parvis.sqlite"), StillClock())
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def mint() -> Mint:
    drawn = iter(range(1, 1000))
    return Mint(lambda: b"pepper", StillClock(), lambda count: bytes((next(drawn) * 7 + i) & 255 for i in range(count)))
