"""The claims of one key on a real store: one runs, the others wait, and all get what it was answered."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from parvis.adapters.store.store import SqlStore
from parvis.core.clock import SystemClock
from parvis.domain.metering.claim import Claim, Verdict
from parvis.flows.claims import ClaimBook
from parvis.flows.vault import TenantVault
from parvis.testing.empty_store import empty_store

CLAIM = Claim("acme", "the key's text", "of the body", "claim_0", "gw_1")
Waiting = asyncio.Task[tuple[Verdict, bytes]]


@pytest.fixture
async def books(tmp_path: Path) -> AsyncIterator[tuple[ClaimBook, SqlStore]]:
    store = SqlStore(empty_store(tmp_path / "parvis.sqlite"))
    await store.open()
    await store.create_organisation("acme", "Acme")
    await store.create_tenant("acme", "acme", "acme", credit_unlimited=True)
    yield ClaimBook(store, TenantVault(store, b"r" * 32, os.urandom), b"secret", SystemClock()), store
    await store.close()


async def first_and_others(book: ClaimBook, count: int) -> list[Waiting]:
    """The first runs; the others have said that they wait."""
    assert await book.claim(CLAIM, lambda: None) == (Verdict.RUN, b"")
    waits = asyncio.Semaphore(0)
    others = [
        asyncio.ensure_future(book.claim(replace(CLAIM, ask=f"claim_{number}"), waits.release))
        for number in range(1, count + 1)
    ]
    for _ in others:
        await asyncio.wait_for(waits.acquire(), 10)
    return others


async def test_all_who_wait_get_the_answer(books: tuple[ClaimBook, SqlStore]) -> None:
    others = await first_and_others(books[0], 4)
    await books[0].end(CLAIM.ask, b"answer", kept=True)
    assert await asyncio.wait_for(asyncio.gather(*others), 10) == [(Verdict.REPLAY, b"answer")] * 4
    assert await books[0].claim(replace(CLAIM, fingerprint="another"), lambda: None) == (Verdict.REUSED, b"")


async def test_after_a_failure_the_next_one_runs(books: tuple[ClaimBook, SqlStore]) -> None:
    waiting = set(await first_and_others(books[0], 3))
    await books[0].end(CLAIM.ask, None, kept=False)
    for _ in range(3):
        done, waiting = await asyncio.wait(waiting, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        assert [one.result()[0] for one in done] == [Verdict.RUN]
        row = [ask for number in range(1, 4) if (ask := f"claim_{number}") and await books[1].claim_of(ask)]
        await books[0].end(row[0], None, kept=False)


async def test_who_waits_for_a_gateway_that_is_gone_runs(books: tuple[ClaimBook, SqlStore]) -> None:
    (other,) = await first_and_others(books[0], 1)
    books[0].run_ended()  # another one's
    await books[1].return_lease("gw_1")
    books[0].run_ended()
    assert await asyncio.wait_for(other, 10) == (Verdict.RUN, b"")


async def test_nothing_that_a_caller_wrote_stands_in_the_store(
    books: tuple[ClaimBook, SqlStore], tmp_path: Path
) -> None:
    await books[0].claim(CLAIM, lambda: None)
    await books[0].end(CLAIM.ask, b"the answer itself", kept=True)
    await books[1].close()
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("parvis.sqlite*"))  # noqa: ASYNC240 - nothing else runs
    for text in (CLAIM.idempotency_key, CLAIM.fingerprint, "the answer itself"):
        assert text.encode() not in kept


async def test_an_answer_whose_keys_were_destroyed_is_not_kept(books: tuple[ClaimBook, SqlStore]) -> None:
    await books[0].claim(CLAIM, lambda: None)
    await books[0].end(CLAIM.ask, b"answer", kept=True)
    await books[1].destroy_data_keys("acme")
    assert await books[0].claim(replace(CLAIM, ask="claim_1"), lambda: None) == (Verdict.NOT_KEPT, b"")
