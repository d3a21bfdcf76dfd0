"""What is promised of tiers and limits, kept by SQLite and by PostgreSQL; and what a store of before gets."""

from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

from parvis.adapters.store.address import read_address
from parvis.adapters.store.limits import monthly_limit
from parvis.adapters.store.store import SqlStore
from parvis.core.money import Money
from parvis.domain.quota.limit import FIRST_TIERS
from parvis.flows.store import Store
from parvis.testing.limit_suite import NARROW, OF_KEY, PROMISES
from parvis.testing.store_suite import settle_in


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
async def test_promise(promise: Callable[[Store], Awaitable[None]], store: SqlStore) -> None:
    await promise(store)


async def test_who_lends_money_learns_the_limit_of_a_month(store: SqlStore) -> None:
    await settle_in(store)
    await store.put_limits(OF_KEY)
    assert await store.database.read(monthly_limit, OF_KEY.subject) == NARROW.monthly == Money.euro(5)
    assert await store.database.read(monthly_limit, "key:none") is None


async def test_a_store_that_is_in_use_gets_the_published_tiers(tmp_path: Path) -> None:
    """And none of its tenants gets one of them: what they could do before, they can do after."""
    url = f"sqlite:///{tmp_path}/store.db"
    at_the_step_before(url)
    store = SqlStore(url)
    await store.open()
    assert await store.tiers() == sorted(FIRST_TIERS, key=lambda tier: tier.tier_id)
    assert [tenant.tier_id for tenant in await store.tenants()] == [""]
    assert await store.limits_in_force() == {}
    await store.close()


def at_the_step_before(url: str) -> None:
    """A store of the release before, with one tenant."""
    config = Config()
    config.set_main_option("script_location", str(files("parvis.adapters.store") / "migrations"))
    engine = create_engine(read_address(url))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0010")
        connection.execute(text("INSERT INTO organisations (organisation_id, name) VALUES ('o', 'O')"))
        told = "(tenant_id, organisation_id, name, credit_unlimited) VALUES ('t', 'o', 'T', true)"
        connection.execute(text("INSERT INTO tenants " + told))
    engine.dispose()
