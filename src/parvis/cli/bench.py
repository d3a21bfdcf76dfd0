"""`parvis bench`: what this machine can do, measured."""

import asyncio
import fcntl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import msgspec

from parvis.app.engine_trial import QUIET_S, load, running, warm_up
from parvis.app.laying_out import burden_of, said_of
from parvis.app.machine import look
from parvis.cli.chart import Group, bars
from parvis.cli.output import output_option, print_rows, print_value
from parvis.cli.place import settings_of
from parvis.cli.written_down import with_values, write_whole
from parvis.core.errors import Conflict, Misconfigured
from parvis.domain.fleet.layout import Layout, Machine, Said
from parvis.domain.fleet.trial import Figure, best, candidates
from parvis.settings import FILE, EngineSettings, Settings

_COLUMNS = ("layout", "streams", "tokens_per_s", "first_p50_ms", "first_p95_ms", "failed", "chosen")
_RIGHT = ("streams", "tokens_per_s", "first_p50_ms", "first_p95_ms", "failed")
_PATH = click.Path(dir_okay=False, path_type=Path)
_STREAMS_MAX = 512
_BUSY = "A service runs on this data folder, so these figures are lower than the machine's own."


@click.group()
def bench() -> None:
    """Measure this machine."""


@bench.command()
@click.argument("name", required=False, metavar="[ENGINE]")
@click.option("--streams", default="1,4,16,64", show_default=True, help="So many at once, one after the other.")
@click.option("--seconds", type=click.FloatRange(1, 600), default=5, show_default=True, help="For each of these.")
@click.option("--chart", type=_PATH, help="Draw tokens a second and times to first tokens into this file, as SVG.")
@click.option("--write", is_flag=True, help="Write the best layout into parvis.toml.")
@click.option("--force", is_flag=True, help="With --write: even where the file says otherwise.")
@output_option
@click.pass_context
def engine(
    ctx: click.Context, /, name: str | None, seconds: float, output: str, *, write: bool, force: bool, **said: Any
) -> None:
    """Try each way to serve an engine's weights here, and say which is best for the last number of streams.

    ENGINE is its name in the settings [the first chat engine with weights]. Takes about two minutes.
    """
    settings, machine = settings_of(ctx), look()
    streams = _numbers(said["streams"])
    name, served = _engine(settings, name)
    if write and not force:
        _refuse_other(name, served)
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    click.echo(f"{machine.words}; {served.model or name}; {seconds:g} s for each load.", err=True)
    if _is_served(settings.home):
        click.echo(_BUSY, err=True)
    layouts = candidates(machine, burden_of(served, settings.home / "cache"))
    tried = asyncio.run(_try_all(settings.home, served, layouts, streams, seconds))
    chosen = best(tried)
    _print(machine, tried, layouts, chosen, output)
    if said["chart"] is not None:
        write_whole(said["chart"], _chart(tried))
    if write:
        _write(settings, name, layouts[chosen])


def _numbers(text: str) -> list[int]:
    found = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if not all(0 < number <= _STREAMS_MAX for number in found):
        raise Misconfigured(f"--streams {text}: give numbers of 1 to {_STREAMS_MAX}, like 1,4,16.")
    return found


def _engine(settings: Settings, name: str | None) -> tuple[str, EngineSettings]:
    ours = {key: one for key, one in settings.engines.items() if one.weights and not one.embedding}
    if name is None and ours:
        return next(iter(ours.items()))
    if name not in ours:
        known = ", ".join(ours) or "none"
        raise Misconfigured(f"There is no chat engine '{name or ''}' with weights in the settings. There are: {known}.")
    return name, ours[name]


def _is_served(home: Path) -> bool:
    try:
        with (home / "run" / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


async def _try_all(
    home: Path, served: EngineSettings, layouts: Mapping[str, Layout], streams: Sequence[int], seconds: float
) -> dict[str, list[Figure]]:
    """What cannot be started is said and left out. Raises Misconfigured when nothing can."""
    tried: dict[str, list[Figure]] = {}
    for number, (name, layout) in enumerate(layouts.items(), 1):
        try:
            tried[name] = await _try(home, served, layout, streams, seconds, f"{number}/{len(layouts)} {name}")
        except Misconfigured as problem:
            click.echo(f"{name} cannot be tried: {problem}", err=True)
    if not tried:
        raise Misconfigured("None of the layouts could be started; the lines above say why.")
    return tried


async def _try(
    home: Path, served: EngineSettings, layout: Layout, streams: Sequence[int], seconds: float, what: str
) -> list[Figure]:
    started_s = time.monotonic()
    click.echo(f"{what}: starting ...", err=True)
    figures = []
    async with running(home, served, layout) as engines:
        await warm_up(engines)
        click.echo(f"{what}: ready after {time.monotonic() - started_s:.1f} s", err=True)
        for count in streams:
            figures.append(await load(engines, count, seconds))
            click.echo(f"{what}: {count} streams, {figures[-1].tokens_per_s:.0f} tokens/s", err=True)
            await asyncio.sleep(QUIET_S)
    return figures


def _print(
    machine: Machine, tried: Mapping[str, Sequence[Figure]], layouts: Mapping[str, Layout], chosen: str, output: str
) -> None:
    rows = [
        {"layout": name, **_rounded(figure), "chosen": name == chosen}
        for name, figures in tried.items()
        for figure in figures
    ]
    if output in ("json", "yaml"):
        print_value(
            {
                "machine": {**asdict(machine), "instruction_sets": sorted(machine.instruction_sets)},
                "chosen": chosen,
                "settings": _values(layouts[chosen]),
                "figures": rows,
            },
            output,
        )
        return
    print_rows(rows, _COLUMNS, output, _RIGHT)
    if output == "table":
        click.echo(f"Best at {tried[chosen][-1].streams} streams: {chosen} (of those with about the most tokens/s, the")
        click.echo("one with the earliest first token).")


def _rounded(figure: Figure) -> dict[str, Any]:
    return {name: round(value, 1) for name, value in figure._asdict().items()}


def _chart(tried: Mapping[str, Sequence[Figure]]) -> str:
    """The figures of each layout below each other: what a picture of both is read for is the trade between them."""
    ways: dict[str, Callable[[Figure], float]] = {
        "tokens/s": lambda one: one.tokens_per_s,
        "first p50, ms": lambda one: one.first_p50_ms,
    }
    groups = [
        Group(f"{name}: {what}", tuple((f"{figure.streams} streams", way(figure)) for figure in figures))
        for what, way in ways.items()
        for name, figures in tried.items()
    ]
    return bars("This machine: tokens a second, and the first token", groups)


def _values(layout: Layout) -> dict[str, Any]:
    """As the settings say it."""
    return {
        "kind": str(layout.kind),
        "replicas": layout.replicas,
        "threads": layout.threads,
        "parallel": layout.parallel,
        "requantise": layout.requantise,
    }


def _refuse_other(name: str, served: EngineSettings) -> None:
    """What somebody has said by hand is not overwritten in passing."""
    if said_of(served) != Said():
        said = [one for one, value in zip(Said._fields, said_of(served), strict=True) if value not in (None, 0)]
        raise Conflict(
            f"engines.{name} says {', '.join(said)} already. --force overwrites it; without --write nothing is."
        )


def _write(settings: Settings, name: str, layout: Layout) -> None:
    """Into the file. Where it names no engines, the two that there are without it are written too."""
    path = settings.home / FILE
    text = path.read_text() if path.exists() else ""
    if f"[engines.{name}]" not in text:
        for other, engine in settings.engines.items():
            text = with_values(text, f"engines.{other}", _own_values(engine))
    values = _values(layout)
    write_whole(path, with_values(text, f"engines.{name}", values))
    said = ", ".join(f"{one} = {msgspec.json.encode(value).decode()}" for one, value in values.items())
    click.echo(f"{path}: [engines.{name}] says {said}. `parvis reload` puts it in force.", err=True)


def _own_values(engine: EngineSettings) -> dict[str, Any]:
    """What is not as by default."""
    usual = msgspec.to_builtins(EngineSettings())
    return {one: value for one, value in msgspec.to_builtins(engine).items() if value != usual[one]}
