"""Promise 14: limits hold under clock skew.

Several gateways under one limit, each with a clock that is off by up to ten minutes and that somebody sets now and
then, draw on the real transaction of the store and on the real script of Valkey. In no interval may more have been used
than the limit's amount and what refills in it.
"""

from collections.abc import Iterator

import pytest

from parvis.testing.rate_histories import RateOwner, ScriptOwner, SqlOwner, run_histories
from parvis.testing.redis import redis_server

HISTORIES = {"C": 500, "N": 10_000}
"""Of each owner."""
HISTORIES_OF_THE_CONTROL = 80
OWNERS = ("store", "script")


@pytest.fixture(scope="module")
def valkey() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture
def owner(request: pytest.FixtureRequest) -> RateOwner:
    return SqlOwner() if request.param == "store" else ScriptOwner(request.getfixturevalue("valkey"))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("owner", OWNERS, indirect=True)
def test_no_interval_is_above_burst_and_refill(owner: RateOwner, level: str) -> None:
    count = HISTORIES[level]
    overruns, passed, refused = run_histories(owner, range(count))
    print(f"\nrow 14: {count} histories, {passed} requests passed, {refused} refused, {len(overruns)} overruns")
    assert overruns[:5] == []
    assert passed > count
    assert refused > count


@pytest.mark.parametrize("owner", OWNERS, indirect=True)
def test_control_the_clocks_of_nodes_are_noticed(owner: RateOwner) -> None:
    overruns, _, _ = run_histories(owner, range(HISTORIES_OF_THE_CONTROL), node_clock=True)
    print(f"control of row 14: {len(overruns)} of {HISTORIES_OF_THE_CONTROL} histories overrun their limit")
    assert len(overruns) > HISTORIES_OF_THE_CONTROL // 20
