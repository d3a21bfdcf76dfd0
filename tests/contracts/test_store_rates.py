"""What is promised of rates and places, kept by SQLite, by PostgreSQL and by Valkey."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import redis
from sqlalchemy import create_engine, text

from parvis.adapters.limits.valkey import ValkeyRates
from parvis.adapters.store.address import read_address
from parvis.adapters.store.store import SqlStore
from parvis.core.errors import Misconfigured, Unavailable
from parvis.core.secret import Secret
from parvis.flows.rate_store import RateStore
from parvis.testing.postgres import new_database, postgres
from parvis.testing.rate_suite import PROMISES, Run
from parvis.testing.redis import redis_server

TABLES = "rate_buckets, rate_places, rate_trades"


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres() as url:
        yield new_database(url)


@pytest.fixture(scope="module")
def valkey() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture(params=("sqlite", "postgresql", "valkey"))
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RateStore]:
    if request.param == "valkey":
        url = request.getfixturevalue("valkey")
        with redis.Redis.from_url(url) as client:
            client.flushall()
        rates = ValkeyRates(Secret(url))
        yield rates
        await rates.close()
        return
    on_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/store.db" if on_sqlite else request.getfixturevalue("database")
    opened = SqlStore(url)
    await opened.open()
    if not on_sqlite:
        engine = create_engine(read_address(url))
        with engine.begin() as connection:
            connection.execute(text(f"TRUNCATE {TABLES}"))
        engine.dispose()
    yield opened
    await opened.close()


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
async def test_promise(promise: Callable[[RateStore], Awaitable[None]], store: RateStore) -> None:
    await promise(store)


async def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    rates = ValkeyRates(Secret(f"unix://{tmp_path}/nothing.sock"))
    with pytest.raises(Unavailable):
        await Run(rates, "gw_1").take(1)
    await rates.close()


@pytest.mark.parametrize("url", ["", "host:6379", "http://host:1", "valkey://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured):
        ValkeyRates(Secret(url))
