"""How `parvis top` looks: the fleet of a moment as tables that fit a terminal."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from parvis.cli.output import printable

Json = dict[str, Any]
_WELL = ("open", "returning", "partly")
_STYLES = {"open": "green", "returning": "yellow", "partly": "yellow", "closed": "red", "unseen": "dim"}
_EVERYTHING = 90
_MOST = 60
"""Columns of a terminal: below the first the reason goes, below the second all but how full each is."""
_TALKERS = 5
_LINES_BESIDES = 8
"""Of a screen: heads, and the empty lines between."""
_UNITS_S = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


class Row(NamedTuple):
    """One line of the table of replicas; a pool's own comes before those of its replicas."""

    name: str
    state: str
    load: str
    waiting: str
    tokens: str
    first_byte: str
    since: str
    why: str

    @property
    def is_pool(self) -> bool:
        return not self.name.startswith(" ")


def screen(fleet: Json, columns: int, lines: int) -> RenderableType:
    """All that fits. Of replicas, those that do not take requests come first, then the busiest."""
    talkers = fleet["talkers"][:_TALKERS]
    room = max(3, lines - _LINES_BESIDES - len(talkers))
    parts: list[RenderableType] = [Text(headline(fleet), style="bold"), Text()]
    parts.append(_replicas(rows(fleet, room), columns))
    if talkers:
        parts += [Text(), _talkers(talkers)]
    return Group(*parts)


def headline(fleet: Json) -> str:
    """The whole fleet in a line."""
    in_flight = sum(pool["in_flight"] for pool in fleet["pools"])
    waiting = sum(pool["waiting"] for pool in fleet["pools"])
    return (
        f"{fleet['at'][11:19]}  gateways {len(fleet['gateways'])}  in flight {in_flight}  waiting {waiting}  "
        f"{fleet['requests_per_s']:.1f} requests/s  {fleet['tokens_per_s']:.0f} tokens/s  {euro(fleet['per_hour'])}/h"
    )


def rows(fleet: Json, lines: int) -> list[Row]:
    """Pools and as many of their replicas as there are lines for; what is left out is counted."""
    pools = fleet["pools"]
    each = max(1, lines // max(1, len(pools)) - 1)
    found: list[Row] = []
    for pool in pools:
        found.append(_pool_row(pool))
        ordered = sorted(
            pool["replicas"], key=lambda one: (one["state"] in _WELL, -one["in_flight"], one["replica_id"])
        )
        shown = ordered if len(ordered) <= each else ordered[: each - 1]
        found += [_replica_row(one, fleet["at"]) for one in shown]
        if left := len(ordered) - len(shown):
            found.append(Row(f"  and {left} more", "", "", "", "", "", "", ""))
    return found


def euro(amount: Json) -> str:
    """To the cent: this is an outlook, no bill."""
    whole, cents = divmod(amount["pico_euro"] // 10**10, 100)
    return f"{whole:,}.{cents:02} €"


def _pool_row(pool: Json) -> Row:
    state = f"{pool['open']} of {len(pool['replicas'])}"
    tokens = f"{pool['tokens_per_s']:.0f}"
    return Row(pool["pool"], state, _load(pool), str(pool["waiting"]), tokens, "", "", "")


def _replica_row(one: Json, at: str) -> Row:
    first_byte = f"{one['first_byte_ms']} ms" if one["first_byte_ms"] else ""
    since = _ago(one["since"], at)
    return Row(
        "  " + one["replica_id"],
        one["state"],
        _load(one),
        "",
        f"{one['tokens_per_s']:.0f}",
        first_byte,
        since,
        one["why"],
    )


def _load(one: Json) -> str:
    return f"{one['in_flight']}/{one['slots']}" if one["slots"] else str(one["in_flight"])


def _ago(since: str, at: str) -> str:
    """How long it has been so: `12s`, `5m`, `3h`, `2d`."""
    seconds = int((datetime.fromisoformat(at) - datetime.fromisoformat(since)).total_seconds())
    for unit, unit_s in _UNITS_S:
        if seconds >= unit_s:
            return f"{seconds // unit_s}{unit}"
    return "0s"


def _replicas(found: Sequence[Row], columns: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, expand=False)
    heads = ["replica", "state", "load", *(("wait", "tokens/s") if columns >= _MOST else ())]
    heads += ["first byte", "since", "why"] if columns >= _EVERYTHING else []
    for head in heads:
        numbers = head in ("load", "wait", "tokens/s", "first byte", "since")
        table.add_column(head, justify="right" if numbers else "left", no_wrap=True, overflow="ellipsis")
    for row in found:
        style = "bold" if row.is_pool else ""
        cells = [Text(printable(cell), style=style) for cell in row[: len(heads)]]
        if not row.is_pool:
            cells[1].stylize(_STYLES.get(row.state, ""))
        table.add_row(*cells)
    if not found:
        table.add_row("no replicas", *[""] * (len(heads) - 1))
    return table


def _talkers(talkers: Sequence[Json]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("tenant", no_wrap=True, overflow="ellipsis")
    for head in ("requests/s", "tokens/s", "per hour"):
        table.add_column(head, justify="right", no_wrap=True)
    for one in talkers:
        figures = f"{one['requests_per_s']:.1f}", f"{one['tokens_per_s']:.0f}", euro(one["per_hour"])
        table.add_row(Text(printable(one["tenant_id"])), *figures)
    return table
