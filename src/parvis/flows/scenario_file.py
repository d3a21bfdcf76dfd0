"""Scenarios and recorded traffic, as people write them: TOML, and a JSON object on each line."""

import dataclasses
import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from parvis.core.errors import Misconfigured
from parvis.domain.fleet.fault_plan import PLANS, FaultRates
from parvis.domain.fleet.gpu_profiles import PROFILES
from parvis.domain.fleet.modelled_traffic import Call, PoolTraffic
from parvis.domain.fleet.scenario import Goal, PoolPlan, Scenario

Table = dict[str, Any]
T = TypeVar("T")
_SECONDS_AN_HOUR = 3_600.0
_CALL_DEFAULTS: Table = {"tenant": 0, "system": 0, "system_tokens": 0}


def read_scenario(table: Table) -> Scenario:
    """A scenario of a TOML file. Raises Misconfigured, naming what is wrong and what would be right."""
    said = dict(table)
    hours = said.pop("hours", None)
    if isinstance(said.get("faults"), str):
        said["faults"] = dataclasses.asdict(faults_named(said["faults"]))
    pools = said.get("pools")
    if not isinstance(pools, dict) or not pools:
        raise Misconfigured("A scenario has at least one table [pools.NAME].")
    said["pools"] = {name: _pool(name, pool) for name, pool in pools.items()}
    _know(said, _names(Scenario), "the scenario")
    _know(said.get("faults", {}), _names(FaultRates), "[faults]")
    scenario = _made(said, Scenario, "the scenario")
    if hours is None:
        return scenario
    return dataclasses.replace(scenario, seconds=_made(hours, float, "hours") * _SECONDS_AN_HOUR)


def faults_named(name: str) -> FaultRates:
    """One of the plans that Parvis brings along. Raises Misconfigured."""
    if name not in PLANS:
        raise Misconfigured(f"There is no fault plan {name!r}. There are: {', '.join(PLANS)}.")
    return PLANS[name]


def read_calls(lines: Iterable[str], pools: Collection[str]) -> Iterator[Call]:
    """Recorded traffic, in its order. Raises Misconfigured, naming the line."""
    before_ms = 0.0
    for number, line in enumerate(lines, 1):
        call = _call(line, number)
        if call.pool not in pools:
            raise Misconfigured(f"Line {number} asks pool {call.pool!r}. The scenario has: {', '.join(pools)}.")
        if call.at_ms < before_ms:
            raise Misconfigured(f"Line {number} comes before the line above it. Sort them by at_ms.")
        before_ms = call.at_ms
        yield call


def written(call: Call) -> str:
    """One line of recorded traffic."""
    return json.dumps(call._asdict())


def _call(line: str, number: int) -> Call:
    where = f"Line {number} of the traffic"
    try:
        said = json.loads(line)
    except ValueError:
        raise Misconfigured(f"{where} is no JSON.") from None
    _know(said, Call._fields, where)
    told = {"conversation": number, **_CALL_DEFAULTS, **said}
    if missing := [name for name in Call._fields if name not in told]:
        raise Misconfigured(f"{where} has no {missing[0]!r}.")
    return _made([told[name] for name in Call._fields], Call, where)


def _pool(name: str, table: Any) -> Table:
    where = f"[pools.{name}]"
    _know(table, _names(PoolPlan), where)
    if table.get("gpu") not in PROFILES:
        raise Misconfigured(f"{where} has no known `gpu`. There are: {', '.join(PROFILES)}.")
    traffic = table.get("traffic", {})
    _know(traffic, _names(PoolTraffic), f"[pools.{name}.traffic]")
    _know(table.get("goal", {}), _names(Goal), f"the goal of {where}")
    return {**table, "traffic": {**traffic, "pool": name}}


def _know(said: Any, names: Collection[str], where: str) -> None:
    if not isinstance(said, dict):
        raise Misconfigured(f"{where} must have names and values.")
    if unknown := sorted(said.keys() - set(names)):
        raise Misconfigured(f"{where} has {unknown[0]!r}, which nobody knows. Known are: {', '.join(sorted(names))}.")


def _names(kind: type[Any]) -> frozenset[str]:
    return frozenset(one.name for one in dataclasses.fields(kind))


def _made(said: Any, kind: type[T], where: str) -> T:
    try:
        return msgspec.convert(said, kind)
    except msgspec.ValidationError as problem:
        raise Misconfigured(f"{where}: {problem}.") from None
