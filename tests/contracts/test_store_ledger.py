"""What is promised of budgets, orders and self-checks, kept by SQLite and by PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from parvis.adapters.store.address import read_address
from parvis.adapters.store.dialect import Use, engine_for
from parvis.adapters.store.store import SqlStore
from parvis.core.money import ZERO, Money
from parvis.flows.store import Store
from parvis.testing import ledger_suite, order_suite
from parvis.testing.postgres import new_database
from parvis.testing.store_suite import COST, books_to_damage, settle_in

DAY_MS = 86_400_000
OTHERS = 4


PROMISES = (*ledger_suite.PROMISES, *order_suite.PROMISES)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
async def test_promise(promise: Callable[[Store], Awaitable[None]], store: SqlStore) -> None:
    await promise(store)


async def test_many_stores_on_one_database_never_overrun_a_budget(store: SqlStore, url: str) -> None:
    await settle_in(store)
    await ledger_suite.limit(store, ledger_suite.KEY, Money(100))
    others = [SqlStore(url) for _ in range(OTHERS)]
    for other in others:
        await other.open()
    asked = (ledger_suite.borrowed(others[n % OTHERS], f"run{n}", Money(3), f"g{n}") for n in range(50))
    granted = await asyncio.gather(*asked)
    for other in others:
        await other.close()
    assert sum(granted, ZERO) == Money(99)
    assert await store.check() == []


PLANTED = {
    "UPDATE accounts SET balance = '1' WHERE account = 'tenant:limited'": "account tenant:limited",
    "UPDATE usage SET billed = '1' WHERE request_id = 'req_000010'": "request req_000010",
    "UPDATE usage SET input = input + 1 WHERE request_id = 'req_000010'": "request req_000010",
    "UPDATE transfers SET amount = '2' WHERE reference = 'req_000010' AND kind = 'settle'": "request req_000010",
    "DELETE FROM usage WHERE request_id = 'req_000010'": "request req_000010",
    "DELETE FROM transfers WHERE reference = 'req_000010'": "account revenue",
    "UPDATE budgets SET leased = '1' WHERE subject = 'tenant:limited'": "budget tenant:limited",
    "UPDATE incarnations SET returned_unix_ms = 1": "account lease:limited:run: its run has ended",
}
"""By hand, after a request was booked and before it was checked; and the words that name it."""


@pytest.mark.parametrize("statement", PLANTED)
async def test_a_difference_in_what_is_new_is_named(statement: str, store: SqlStore) -> None:
    await books_to_damage(store, before_last=lambda: store.check_new(DAY_MS))
    await store.database.run(_behind_its_back, statement)
    for _ in range(2):  # and it is not forgotten by the next check, which has nothing new to look at
        checked = await store.check_new(DAY_MS)
        assert any(PLANTED[statement] in difference for difference in checked.differences), checked
    assert await store.last_check() == checked


OLDER = (
    "UPDATE usage SET booking = 0, project_id = '', owner_id = ''",
    "UPDATE transfers SET booking = 0",
    "DELETE FROM budgets",
)
"""What the release before leaves behind, which knew neither budgets nor numbers."""


async def test_what_an_older_release_booked_is_spent_too(store: SqlStore) -> None:
    await ledger_suite.money_for(store, 4, "run")
    await store.ingest("run", 1, [ledger_suite.held(number) for number in (1, 2)])
    await store.database.run(_behind_its_back, *OLDER)
    assert await store.check() == []
    assert (await store.check_new(DAY_MS)).differences == ()
    await ledger_suite.limit(store, ledger_suite.KEY, COST * 3)
    assert await ledger_suite.borrowed(store, "run", COST * 2, "g1") == ZERO
    assert await ledger_suite.borrowed(store, "run", COST, "g2") == COST
    await store.ingest("run", 2, [ledger_suite.held(3, ledger_suite.BUDGET)])
    named = ("tenant:limited", "organisation:org", "user:usr")
    spent = await store.spending(named, ledger_suite.MONTH)
    assert [spent[one].spent for one in named] == [COST * 3, COST * 3, COST]
    assert await store.check() == []
    assert (await store.check_new(DAY_MS)).differences == ()


BEFORE = (
    "INSERT INTO organisations (organisation_id, name) VALUES ('org', 'o')",
    "INSERT INTO tenants (tenant_id, organisation_id, name, credit_unlimited) VALUES ('limited', 'org', 't', false)",
    "INSERT INTO accounts VALUES ('world:allowance', NULL, NULL, true, '-12')",
    "INSERT INTO accounts VALUES ('tenant:limited', 'limited', NULL, false, '2')",
    "INSERT INTO accounts VALUES ('lease:limited:run', 'limited', 'run', false, '10')",
    "INSERT INTO transfers VALUES ('credit', 'order 1', 'world:allowance', 'tenant:limited', '5', 7)",
    "INSERT INTO transfers VALUES ('credit', 'ask', 'world:allowance', 'tenant:limited', '7', 8)",
    "INSERT INTO transfers VALUES ('grant', 'ask', 'tenant:limited', 'lease:limited:run', '10', 8)",
)
"""Rows of the release before: an order, and a lease for which unlimited credit was filled up."""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_credit_of_the_release_before_is_an_order(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/old.db" if kind == "sqlite" else new_database(request.getfixturevalue("server"))
    engine = engine_for(read_address(url), Use.MIGRATE, 1)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", "parvis.adapters.store:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "0008")
        for statement in BEFORE:
            connection.execute(text(statement))
    engine.dispose()
    store = SqlStore(url)
    await store.open()
    [order] = await store.orders_page("limited", None, 10)
    assert (order.order_id, order.amount, order.unspent, order.expired) == ("order 1", Money(5), Money(5), ZERO)
    assert await store.check() == []
    await store.close()


def _behind_its_back(connection: Connection, *statements: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL session_replication_role = replica"))
    else:
        for table in ("usage", "transfers"):
            for verb in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER {table}_no_{verb}"))
    for statement in statements:
        connection.execute(text(statement))
