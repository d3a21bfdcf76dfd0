"""`parvis top`: the fleet of this moment, every second."""

import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click
from rich.console import Console
from rich.live import Live

from parvis.cli.fleet_screen import Row, rows, screen
from parvis.cli.operator_api import OperatorApi, operator_api
from parvis.cli.output import OUTPUTS, output_option, print_csv, print_value, terminal
from parvis.core.errors import Unavailable

INTERVAL_S = 1.0
_ALL_LINES = 1_000_000


@click.command()
@click.option("--once", is_flag=True, help="Show it once, and end.")
@output_option
@click.pass_context
def top(ctx: click.Context, *, once: bool, output: str) -> None:
    """The fleet, live: pools and replicas, what runs and waits, tokens, money, and who asks most. `q` ends it."""
    console = terminal()
    with operator_api(ctx) as api:
        if once or output != OUTPUTS[0] or not console.is_terminal:
            _print(api.get("/v1/fleet"), console, output)
        elif console.is_dumb_terminal:
            _write_on(api, console)
        else:
            _watch(api, console)


def _print(fleet: dict[str, Any], console: Console, output: str) -> None:
    if output in ("json", "yaml"):
        print_value(fleet, output)
    elif output == "csv":
        pools = {one["pool"]: one for one in fleet["pools"]}
        lines = [(pool, *row) for pool, one in pools.items() for row in _replica_rows(one, fleet)]
        print_csv(("pool", *Row._fields), lines)
    else:
        console.print(screen(fleet, console.width, _ALL_LINES))


def _replica_rows(pool: dict[str, Any], fleet: dict[str, Any]) -> list[Row]:
    found = rows({**fleet, "pools": [pool]}, _ALL_LINES)[1:]
    return [row._replace(name=row.name.strip()) for row in found]


def _write_on(api: OperatorApi, console: Console) -> None:
    """For terminals that only go on: one picture below the other, until Ctrl-C."""
    with suppress(KeyboardInterrupt):
        while True:
            _print(api.get("/v1/fleet"), console, OUTPUTS[0])
            if _asked_to_end():
                return


def _watch(api: OperatorApi, console: Console) -> None:
    """A picture in its place. While the service does not answer, the last one stays, and says so."""
    with suppress(KeyboardInterrupt), _keys_at_once(), Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            try:
                live.update(screen(api.get("/v1/fleet"), console.width, console.height), refresh=True)
            except Unavailable as away:
                live.update(str(away), refresh=True)
            if _asked_to_end():
                return


def _asked_to_end() -> bool:
    """Wait for the next picture, or for `q`."""
    if not sys.stdin.isatty():
        select.select([], [], [], INTERVAL_S)
        return False
    ready, _, _ = select.select([sys.stdin], [], [], INTERVAL_S)
    return bool(ready) and os.read(sys.stdin.fileno(), 64) in (b"q", b"Q", b"q\n", b"")


@contextmanager
def _keys_at_once() -> Iterator[None]:
    """Keys come as they are pressed, and are not shown. Afterwards the terminal is as it was."""
    if not sys.stdin.isatty():
        yield
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
