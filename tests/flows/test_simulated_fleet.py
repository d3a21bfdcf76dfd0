"""The laws of a simulated fleet: each request ends once, one seed gives one result, and planted bugs show."""

import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from parvis.core.errors import Misconfigured
from parvis.domain.fleet.fault_plan import HARSH, Fault, FaultKind, FaultRates, draw
from parvis.domain.fleet.modelled_traffic import Call, PoolTraffic, generate
from parvis.domain.fleet.scenario import SERVICE, Goal, PoolPlan, Scenario
from parvis.flows.fleet import LocalFleet
from parvis.flows.scenario_file import read_calls, read_scenario, written
from parvis.flows.simulated_figures import End, Figures, percentile
from parvis.flows.simulated_fleet import simulate
from parvis.flows.simulated_gateway import POLICIES
from parvis.flows.simulated_search import find_machines

SOON = FaultRates(
    crash_hours=0.02, freeze_hours=0.05, slow_hours=0.05, cut_hours=0.05, restart_s=5, freeze_s=6, cut_s=6
)
"""Something every minute on each machine, so that two minutes see all of it."""


def small(**changes: Any) -> Scenario:
    traffic = PoolTraffic("13b", 250, tenants=8, think_s=10)
    plan = PoolPlan("13b-a100", 3, traffic, slots=8, goal=Goal(99, 1000))
    return replace(Scenario({"13b": plan}, seconds=90.0), **changes)


def calls_of(scenario: Scenario, seed: int = 3) -> list[Call]:
    return list(generate(tuple(pool.traffic for pool in scenario.pools.values()), seed, scenario.seconds))


def comparable(figures: Figures) -> object:
    return dataclasses.asdict(figures)


@pytest.mark.parametrize("policy", POLICIES)
def test_each_request_ends_once_whatever_goes_wrong(policy: str) -> None:
    scenario = small(faults=SOON)
    figures = simulate(scenario, 3, policy=policy)
    pool = figures.pools["13b"]
    assert figures.faults
    assert pool.requests == len(calls_of(scenario))
    assert pool.ends[End.ANSWERED] <= len(pool.first_ms) <= pool.requests + pool.retried
    assert pool.ends[End.ANSWERED] > pool.requests / 2


def test_one_seed_gives_one_result_and_another_one_another() -> None:
    scenario = small(faults=SOON)
    assert comparable(simulate(scenario, 3)) == comparable(simulate(scenario, 3))
    assert comparable(simulate(scenario, 3)) != comparable(simulate(scenario, 4))


def test_recorded_traffic_gives_what_it_gave_when_it_was_drawn() -> None:
    scenario = small()
    again = read_calls(map(written, calls_of(scenario)), scenario.pools)
    assert comparable(simulate(scenario, 3, calls=again)) == comparable(simulate(scenario, 3))


def test_traffic_is_as_much_as_was_asked_for_and_in_order() -> None:
    calls = list(generate((PoolTraffic("a", 500), PoolTraffic("b", 100)), 5, 7_200))
    assert all(before.at_ms <= after.at_ms for before, after in pairwise(calls))
    tokens = Counter[str]()
    for call in calls:
        tokens[call.pool] += call.output_tokens
    assert tokens["a"] / 7_200 == pytest.approx(500, rel=0.15)
    assert tokens["b"] / 7_200 == pytest.approx(100, rel=0.3)


def test_a_turn_begins_as_the_one_before_it_ended() -> None:
    calls = calls_of(small())
    longest, count = Counter(call.conversation for call in calls).most_common(1)[0]
    assert count > 1
    for before, after in pairwise(call for call in calls if call.conversation == longest):
        assert after.blocks(16)[: len(before.blocks(16))] == before.blocks(16)


def test_conversations_find_their_cache_again() -> None:
    ours, blind = (
        simulate(small(gateways=1), 3, policy=name).pools["13b"].hit_rate for name in ("parvis", "round-robin")
    )
    assert ours > blind + 0.1


def test_a_crash_costs_streams_and_nothing_else() -> None:
    scenario = small(faults=FaultRates(crash_hours=0.02, restart_s=10))
    pool = simulate(scenario, 3).pools["13b"]
    assert pool.ends[End.BROKEN]
    assert pool.retried
    assert not pool.ends[End.FAILED]


def test_limits_hold() -> None:
    pool = simulate(small(output_tokens_per_hour=3_000), 3).pools["13b"]
    assert pool.ends[End.REFUSED]
    assert max(pool.tenants.values()) <= 3_000 * (1 + 90 / 3_600)


def test_of_one_machine_no_fault_begins_before_the_last_is_over() -> None:
    faults = draw(replace(HARSH, crash_hours=0.1), range(5), 1, 36_000)
    assert {fault.kind for fault in faults} == set(FaultKind)
    free_ms = Counter[int]()
    for fault in faults:
        assert isinstance(fault, Fault)
        assert fault.at_ms >= free_ms[fault.replica]
        free_ms[fault.replica] = int(fault.at_ms + fault.for_ms)


def test_the_planner_finds_the_least_that_is_enough() -> None:
    scenario = small(gateways=1)
    told: list[tuple[int, bool]] = []
    found = find_machines(scenario, "13b", 3, 99, 400, lambda machines, good: told.append((machines, good)))
    assert (found.machines, True) in told
    assert (found.machines - 1, False) in told or found.machines == 1
    assert found.first_ms <= 400
    assert (
        percentile(sorted(simulate(scenario.with_machines("13b", found.machines), 3).pools["13b"].short_ms), 99) <= 400
    )


def _place_is_kept(fleet: LocalFleet, *_: object) -> None:
    """A request that has ended keeps its place."""


def test_a_planted_bug_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Places that are never given back fill up: then nothing is answered any more."""
    sound = simulate(small(), 3)
    monkeypatch.setattr(LocalFleet, "release", _place_is_kept)
    assert simulate(small(), 3).availability < 0.8 < sound.availability


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table["pools"]["a"].update(gpu="abacus"), "no known `gpu`"),
        (lambda table: table["pools"]["a"].update(machine=3), "'machine', which nobody knows"),
        (lambda table: table["pools"]["a"]["traffic"].update(turns="many"), "Expected `float`"),
        (lambda table: table.update(faults="frequent"), "no fault plan"),
        (lambda table: table.update(pools={}), "at least one table"),
    ],
    ids=["gpu", "name", "kind", "plan", "empty"],
)
def test_a_wrong_scenario_is_refused_by_name(change: Callable[[dict[str, object]], None], said: str) -> None:
    table = {"pools": {"a": {"gpu": "8b-h100", "machines": 2, "traffic": {"output_tokens_per_s": 10}}}, "hours": 1}
    assert read_scenario(table).seconds == 3_600
    change(table)
    with pytest.raises(Misconfigured, match=said):
        read_scenario(table)


def test_the_service_keeps_its_goals_on_a_quiet_day() -> None:
    figures = simulate(replace(SERVICE, seconds=240.0), 1)
    for name, plan in SERVICE.pools.items():
        assert plan.goal is not None
        assert percentile(sorted(figures.pools[name].short_ms), plan.goal.percentile) < plan.goal.first_token_ms
    assert figures.availability >= SERVICE.availability_min
