"""What is promised of access reviews, kept by SQLite and by PostgreSQL."""

from collections.abc import Awaitable, Callable

import pytest

from parvis.adapters.store.store import SqlStore
from parvis.flows.review_store import ReviewStore
from parvis.testing.review_suite import REVIEW_PROMISES


@pytest.mark.parametrize("promise", REVIEW_PROMISES, ids=lambda promise: promise.__name__)
async def test_promise(promise: Callable[[ReviewStore], Awaitable[None]], store: SqlStore) -> None:
    await promise(store)
