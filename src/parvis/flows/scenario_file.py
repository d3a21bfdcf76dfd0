"""Scenarios and recorded traffic, as people write them: TOML, and a JSON object on each line."""

import dataclasses
import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

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


class _Range(NamedTuple):
    """What a number may be. Each has a highest value, so that no run is endless or takes all memory."""

    least: float
    most: float = 1e9
    above: bool = False
    """Whether it must be more than the least."""
    or_zero: bool = False
    """Whether 0, which is never, is allowed below the least."""

    def has(self, value: float) -> bool:
        """Not, either, what is no number at all."""
        enough = self.least < value if self.above else self.least <= value
        return (enough and value <= self.most) or (self.or_zero and value == 0)

    def __str__(self) -> str:
        zero, least = "0, or " if self.or_zero else "", "more than" if self.above else "at least"
        return f"{zero}{least} {self.least:g} and at most {self.most:,.0f}"


_ANY, _MORE, _COUNT = _Range(0), _Range(0, above=True), _Range(1, 1e6)
_TOKENS_MAX = 10_000_000
"""Of one text: fewer blocks than a conversation may have."""
_RANGES = {
    **dict.fromkeys(("at_ms", "output_tokens_per_hour", "restart_s", "freeze_s", "slow_s", "cut_s", "way_ms"), _ANY),
    **dict.fromkeys(("burst", "first_token_ms", "output_tokens_per_s", "think_s"), _MORE),
    **dict.fromkeys(("burst_s", "calm_s"), _Range(0.001)),
    **dict.fromkeys(("crash_hours", "cut_hours", "freeze_hours", "slow_hours"), _Range(0.001, or_zero=True)),
    **dict.fromkeys(("slow_times", "systems", "tenants", "turns"), _COUNT),
    **dict.fromkeys(("answer_tokens", "answer_tokens_max", "context_tokens_max"), _Range(1, _TOKENS_MAX)),
    **dict.fromkeys(("message_tokens", "output_tokens", "prompt_tokens"), _Range(1, _TOKENS_MAX)),
    **dict.fromkeys(("system", "tenant"), _Range(0, 1e6)),
    "availability_min": _Range(0, 1),
    "conversation": _Range(0, 1e12),
    "gateways": _Range(1, 64),
    "hours": _Range(0, 100_000, above=True),
    "machines": _Range(1, 4_096),
    "percentile": _Range(1, 100),
    "seconds": _Range(0, 3.6e8, above=True),
    "slots": _Range(0, 100_000),
    "system_tokens": _Range(0, _TOKENS_MAX),
    "tenants_skew": _Range(0, 50),
}
"""By the names of scenarios and of traffic; none of them means two things."""


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
    if "faults" in said:
        _checked(said["faults"], FaultRates, "[faults]")
    scenario = _checked(said, Scenario, "The scenario")
    if hours is None:
        return scenario
    seconds = _made(hours, float, "hours") * _SECONDS_AN_HOUR
    _within({"hours": hours}, "The scenario")
    return dataclasses.replace(scenario, seconds=seconds)


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
    call = _made([told[name] for name in Call._fields], Call, where)
    _within(told, where)
    return call


def _pool(name: str, table: Any) -> Table:
    where = f"[pools.{name}]"
    _know(table, _names(PoolPlan), where)
    if str(table.get("gpu")) not in PROFILES:
        raise Misconfigured(f"{where} has no known `gpu`. There are: {', '.join(PROFILES)}.")
    traffic = table.get("traffic", {})
    _know(traffic, _names(PoolTraffic), f"[pools.{name}.traffic]")
    whole = {**table, "traffic": {**traffic, "pool": name}}
    _checked(whole["traffic"], PoolTraffic, f"[pools.{name}.traffic]")
    if "goal" in table:
        _checked(table["goal"], Goal, f"[pools.{name}.goal]")
    _checked(whole, PoolPlan, where)
    return whole


def _checked(said: Any, kind: type[T], where: str) -> T:
    """One table: known names, those that it must have, their kinds, their ranges."""
    _know(said, _names(kind), where)
    if missing := sorted(_needed(kind) - said.keys()):
        raise Misconfigured(f"{where} does not say `{missing[0]}`. It must: there is no usual value.")
    made = _made(said, kind, where)
    _within(said, where)
    return made


def _within(said: Table, where: str) -> None:
    for name in said.keys() & _RANGES.keys():
        if not _RANGES[name].has(said[name]):
            raise Misconfigured(f"{where}: `{name}` is {said[name]}. It must be {_RANGES[name]}.")


def _know(said: Any, names: Collection[str], where: str) -> None:
    if not isinstance(said, dict):
        raise Misconfigured(f"{where} must have names and values.")
    if unknown := sorted(said.keys() - set(names)):
        raise Misconfigured(f"{where} has {unknown[0]!r}, which nobody knows. Known are: {', '.join(sorted(names))}.")


def _names(kind: type[Any]) -> frozenset[str]:
    return frozenset(one.name for one in dataclasses.fields(kind))


def _needed(kind: type[Any]) -> frozenset[str]:
    usual = (dataclasses.MISSING, dataclasses.MISSING)
    return frozenset(one.name for one in dataclasses.fields(kind) if (one.default, one.default_factory) == usual)


def _made(said: Any, kind: type[T], where: str) -> T:
    try:
        return msgspec.convert(said, kind)
    except msgspec.ValidationError as problem:
        raise Misconfigured(f"{where}: {problem}.") from None
