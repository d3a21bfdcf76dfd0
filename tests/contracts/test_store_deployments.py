"""What is promised of deployments, kept by SQLite and by PostgreSQL."""

from collections.abc import Awaitable, Callable

import pytest

from parvis.adapters.store.store import SqlStore
from parvis.flows.store import Store
from parvis.testing.deployment_suite import PROMISES


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
async def test_promise(promise: Callable[[Store], Awaitable[None]], store: SqlStore) -> None:
    await promise(store)
