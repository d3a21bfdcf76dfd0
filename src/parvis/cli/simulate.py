"""`parvis simulate`: a fleet on a virtual clock, before its machines are bought."""

import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from parvis.cli.chart import Group, bars
from parvis.cli.output import bar, output_option, print_json, print_rows
from parvis.core.errors import Misconfigured
from parvis.domain.fleet.modelled_traffic import Call, generate
from parvis.domain.fleet.scenario import BUILT_IN, PoolPlan, Scenario
from parvis.flows.scenario_file import faults_named, read_calls, read_scenario, written
from parvis.flows.simulated_figures import End, Figures, PoolFigures, percentile
from parvis.flows.simulated_fleet import simulate as run
from parvis.flows.simulated_gateway import OURS, POLICIES
from parvis.flows.simulated_search import MACHINES_MAX, find_machines

_PATH = click.Path(dir_okay=False, path_type=Path)
_COLUMNS = (
    "policy", "pool", "machines", "requests", "p50_ms", "p95_ms", "p99_ms", "tokens_per_s", "answered", "cached",
    "busy", "goal",
)  # fmt: skip
_RIGHT = ("machines", "requests", "p50_ms", "p95_ms", "p99_ms", "tokens_per_s", "answered", "cached")
_FOUND = ("pool", "gpu", "machines", "percentile", "goal_ms", "first_token_ms", "answered")
_BAR_COLUMNS = 8
_DRAWN = ("p50", "p95", "p99")


@dataclass(frozen=True)
class _Asked:
    """What a run is told beside its scenario."""

    seed: int
    requests: int | None
    traffic: Path | None


@click.command()
@click.argument("scenario", default="service", metavar="[SCENARIO]")
@click.option("--policy", multiple=True, type=click.Choice((*POLICIES, "all")), help="Repeat to compare [parvis].")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same figures.")
@click.option(
    "--hours", type=click.FloatRange(min=0, max=100_000, min_open=True), help="So long [as the scenario says]."
)
@click.option("--requests", type=click.IntRange(min=1), help="No more than so many.")
@click.option(
    "--times", type=click.FloatRange(min=0, max=1e6, min_open=True), default=1.0, help="So many times the load."
)
@click.option("--faults", help="none, usual or harsh [as the scenario says].")
@click.option("--gateways", type=click.IntRange(min=1, max=64), help="So many [as the scenario says].")
@click.option("--traffic", type=_PATH, help="Recorded requests: a JSON object on each line.")
@click.option("--record", type=_PATH, help="Write the requests that were drawn to this file, and run nothing.")
@click.option("--chart", type=_PATH, help="Draw the times to first tokens of short prompts into this file, as SVG.")
@click.option("--find", type=click.Choice(("machines",)), help="The least machines that keep --p99-ms.")
@click.option("--pool", help="Of this pool alone [all].")
@click.option("--p99-ms", type=click.FloatRange(min=0, min_open=True), help="With --find [each pool's own goal].")
@output_option
def simulate(scenario: str, seed: int, output: str, **said: Any) -> None:
    """Try a fleet that is not there: modelled machines, and the real routing, queue, health and limits before them.

    SCENARIO is `service`, which is built in, or a TOML file. All figures are simulated.
    """
    _agree(said)
    plan = _adapted(_scenario(scenario), said)
    asked = _Asked(seed, said["requests"], said["traffic"])
    _something_asked(plan, asked, each=bool(said["find"]))
    if said["record"] is not None:
        _record(said["record"], _calls(plan, asked) or _drawn(plan, asked))
    elif said["find"]:
        rows = [_found(plan, pool, seed, said["p99_ms"]) for pool in plan.pools]
        print_rows([_shown(row) for row in rows] if output == "table" else rows, _FOUND, output, _FOUND[2:])
        _all_reached(rows)
    else:
        chosen = POLICIES if "all" in said["policy"] else said["policy"] or (OURS,)
        runs = [_simulated(plan, asked, policy) for policy in chosen]
        if said["chart"] is not None:
            _written("--chart", said["chart"], _chart([row for one in runs for row in one["pools"]]))
        if output in ("json", "yaml"):
            _print_whole(runs, output)
        else:
            rows = [row for one in runs for row in one["pools"]]
            print_rows([_shown(row) for row in rows] if output == "table" else rows, _COLUMNS, output, _RIGHT)
            if output == "table":
                _print_summary(runs)


# What is asked


def _agree(said: dict[str, Any]) -> None:
    """Refuse options that would do nothing beside others."""
    if said["p99_ms"] is not None and not said["find"]:
        raise click.UsageError("--p99-ms is the goal of a search: say --find machines, too.")
    alone = [f"--{name}" for name in ("policy", "record", "requests", "traffic", "chart") if said[name]]
    if said["find"] and alone:
        raise click.UsageError(f"--find draws its own traffic and runs policy {OURS}: leave {alone[0]} out.")
    if said["record"] and said["chart"]:
        raise click.UsageError("--record runs nothing, so there is nothing to draw: leave --chart out.")
    if said["traffic"] and said["times"] != 1:
        raise click.UsageError("--traffic is what was recorded, as much as it was: leave --times out.")


def _something_asked(scenario: Scenario, asked: _Asked, *, each: bool) -> None:
    """Figures of no request say nothing. `each`: of every pool by itself."""
    parts = [replace(scenario, pools={name: scenario.pools[name]}) for name in scenario.pools] if each else [scenario]
    for part in parts:
        if next(iter(_calls(part, asked) or _drawn(part, asked)), None) is None:
            where = asked.traffic or f"{part.seconds:g} seconds of {', '.join(part.pools)}"
            raise Misconfigured(f"There is no request in {where}. A simulation needs at least one.")


def _scenario(name: str) -> Scenario:
    if name in BUILT_IN:
        return BUILT_IN[name]
    try:
        table = tomllib.loads(Path(name).read_text())
    except FileNotFoundError:
        raise Misconfigured(
            f"There is no scenario {name!r}, and no such file. Built in: {', '.join(BUILT_IN)}."
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise Misconfigured(f"{name}: {problem}.") from None
    return read_scenario(table)


def _adapted(scenario: Scenario, said: dict[str, Any]) -> Scenario:
    """What options say counts more than the scenario."""
    scenario = scenario.times(said["times"]) if said["times"] != 1 else scenario
    if said["hours"] is not None:
        scenario = replace(scenario, seconds=said["hours"] * 3600)
    if said["faults"] is not None:
        scenario = replace(scenario, faults=faults_named(said["faults"]))
    if said["gateways"] is not None:
        scenario = replace(scenario, gateways=said["gateways"])
    if said["pool"] is not None:
        if said["pool"] not in scenario.pools:
            raise Misconfigured(f"There is no pool {said['pool']!r}. There are: {', '.join(scenario.pools)}.")
        scenario = replace(scenario, pools={said["pool"]: scenario.pools[said["pool"]]})
    return scenario


def _drawn(scenario: Scenario, asked: _Asked) -> Iterator[Call]:
    plans = tuple(pool.traffic for pool in scenario.pools.values())
    return islice(generate(plans, asked.seed, scenario.seconds), asked.requests)


def _calls(scenario: Scenario, asked: _Asked) -> Iterable[Call] | None:
    """Recorded ones, or the first of those that are drawn; None: all that are drawn."""
    if asked.traffic is None:
        return None if asked.requests is None else _drawn(scenario, asked)
    try:
        lines = asked.traffic.read_text().splitlines()
    except OSError as problem:
        raise Misconfigured(f"--traffic {asked.traffic} cannot be read: {problem.strerror}.") from None
    except UnicodeDecodeError:
        raise Misconfigured(f"--traffic {asked.traffic} is no text in UTF-8. Each line is a JSON object.") from None
    return islice(read_calls(lines, scenario.pools), asked.requests)


# What is done


def _record(path: Path, calls: Iterable[Call]) -> None:
    _written("--record", path, "".join(f"{written(call)}\n" for call in calls))


def _written(option: str, path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as problem:
        raise Misconfigured(f"{option} {path} cannot be written: {problem.strerror}.") from None


def _chart(rows: list[dict[str, Any]]) -> str:
    """Three percentiles of each pool and policy."""
    groups = [
        Group(
            f"{row['pool']}, {row['machines']} machines, {row['policy']}",
            tuple((one, row[f"{one}_ms"]) for one in _DRAWN),
        )
        for row in rows
    ]
    return bars("Simulated: first token of short prompts, ms, by pool, machines and policy", groups)


def _simulated(scenario: Scenario, asked: _Asked, policy: str) -> dict[str, Any]:
    """One run, with a bar where somebody watches."""
    started_s = time.monotonic()
    with ExitStack() as stack:
        progress = stack.enter_context(_bar_of_progress())
        task = progress.add_task(policy, total=scenario.seconds, requests=0)

        def tell(seconds: float, requests: int) -> None:
            progress.update(task, completed=seconds, requests=requests)

        calls = _calls(scenario, asked)
        figures = run(scenario, asked.seed, policy=policy, calls=calls, progress=tell)
    return _told(scenario, figures, policy, asked.seed, time.monotonic() - started_s)


def _bar_of_progress() -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[requests]} requests"))
    return Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not sys.stderr.isatty())


def _found(scenario: Scenario, pool: str, seed: int, p99_ms: float | None) -> dict[str, Any]:
    plan = scenario.pools[pool]
    if p99_ms is None and plan.goal is None:
        raise Misconfigured(f"Pool {pool!r} has no goal of its own. Say --p99-ms.")
    percent = 99 if p99_ms is not None or plan.goal is None else plan.goal.percentile
    goal_ms = p99_ms if p99_ms is not None or plan.goal is None else plan.goal.first_token_ms
    assert goal_ms is not None  # noqa: S101 - one of both was said
    found = find_machines(
        scenario, pool, seed, percent, goal_ms, lambda machines, good: _say_tried(pool, machines, good=good)
    )
    return {
        "pool": pool,
        "gpu": plan.gpu,
        "machines": found.machines or None,
        "percentile": percent,
        "goal_ms": goal_ms,
        "first_token_ms": round(found.first_ms, 1) if found.machines else None,
        "answered": found.availability if found.machines else None,
        "seed": seed,
        "tried": found.tried,
    }


def _all_reached(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["machines"] is None:
            raise Misconfigured(
                f"Pool {row['pool']!r} cannot keep p{row['percentile']} <= {row['goal_ms']:g} ms and answer enough:"
                f" not with {MACHINES_MAX:,} machines. Choose a later goal, another gpu or fewer faults."
            )


def _say_tried(pool: str, machines: int, *, good: bool) -> None:
    if sys.stderr.isatty():
        click.echo(f"{pool}: {machines} machines are {'enough' if good else 'too few'}", err=True)


# What is told


def _told(scenario: Scenario, figures: Figures, policy: str, seed: int, took_s: float) -> dict[str, Any]:
    rows = [_row(policy, name, plan, figures) for name, plan in scenario.pools.items()]
    return {
        "simulated": True,
        "policy": policy,
        "seed": seed,
        "seconds": round(figures.seconds, 1),
        "gateways": scenario.gateways,
        "requests": figures.requests,
        "faults": figures.faults,
        "preempted": figures.preempted,
        "availability": figures.availability,
        "availability_met": figures.availability >= scenario.availability_min,
        "requests_simulated_per_s": round(figures.requests / took_s) if took_s else 0,
        "pools": rows,
    }


def _row(policy: str, name: str, plan: PoolPlan, figures: Figures) -> dict[str, Any]:
    found = figures.pools[name]
    short, every = sorted(found.short_ms), sorted(found.first_ms)
    busy = figures.busy.get(name, 0.0)
    times = {f"p{percent}_ms": round(percentile(short, percent), 1) for percent in (50, 95, 99)}
    all_times = {f"all_p{percent}_ms": round(percentile(every, percent), 1) for percent in (50, 95, 99)}
    return {
        "policy": policy,
        "pool": name,
        "gpu": plan.gpu,
        "machines": plan.machines,
        "requests": found.requests,
        **times,
        **all_times,
        "mean_ms": round(sum(every) / len(every), 1) if every else 0.0,
        "wait_p99_ms": round(percentile(sorted(found.wait_ms), 99), 1),
        "tokens_per_s": round(found.tokens / figures.seconds, 1) if figures.seconds else 0.0,
        "answered": found.availability,
        **{end.value: found.ends[end] for end in End if end is not End.ANSWERED},
        "retried": found.retried,
        "cached": round(found.hit_rate, 4),
        "fairness": round(found.fairness, 3),
        "busy": round(busy, 4),
        "goal": _goal(plan, found),
    }


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """For people: shares in percent, and how busy it was as a bar. Programs get all of them as 0 to 1."""
    forms: dict[str, Callable[[float], str]] = {
        "answered": "{:.3%}".format,
        "cached": "{:.1%}".format,
        "busy": lambda busy: f"{bar(round(busy * 1000), 1000, _BAR_COLUMNS):{_BAR_COLUMNS}} {busy:.0%}",
    }
    return {name: forms[name](value) if name in forms and value is not None else value for name, value in row.items()}


def _goal(plan: PoolPlan, found: PoolFigures) -> str:
    if plan.goal is None or not found.short_ms:
        return "-"
    reached = percentile(sorted(found.short_ms), plan.goal.percentile)
    word = "met" if reached < plan.goal.first_token_ms else "MISSED"
    return f"{word}: p{plan.goal.percentile} < {plan.goal.first_token_ms:g} ms"


def _print_whole(runs: list[dict[str, Any]], output: str) -> None:
    if output == "json":
        print_json(runs if len(runs) > 1 else runs[0])
    else:
        print_rows(runs, (), output)


def _print_summary(runs: list[dict[str, Any]]) -> None:
    """One line for each run, below the table."""
    for one in runs:
        word = "met" if one["availability_met"] else "MISSED"
        click.echo(
            f"{one['policy']}: {one['availability']:.3%} answered ({word}), {one['faults']} faults,"
            f" {one['requests']:,} requests in {one['seconds']:,.0f} simulated seconds,"
            f" {one['requests_simulated_per_s']:,} a second here. Times: to the first token of short prompts."
        )
