"""How `parvis top` looks: the fleet of a moment as tables that fit a terminal.

Whatever its width, state and reason of each replica stay: figures go first, and a reason that finds no room at the end
of its line stands below it.
"""

from collections.abc import Sequence
from datetime import datetime
from textwrap import wrap
from typing import Any, NamedTuple

from rich import box
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from parvis.cli.output import printable

Json = dict[str, Any]
_WELL = ("open", "returning", "partly")
_STYLES = {"open": "green", "returning": "yellow", "partly": "yellow", "closed": "red", "unseen": "dim"}
_HEADS = ("replica", "state", "load", "wait", "tokens/s", "first byte", "since")
"""Of the fields of a `Row` in their order, but for the reason."""
_COLUMNS_MIN = {"tokens/s": 70, "first byte": 100}
"""Terminals with fewer columns do without."""
_NAME_MIN = 12
_GAP = "  "
_INDENT = "    "
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
    """All that fits. Of replicas, those that do not take requests come first, then those with a reason."""
    talkers = fleet["talkers"][:_TALKERS]
    head = headline(fleet)
    room = max(3, lines - _LINES_BESIDES - len(talkers) - len(head) // columns)
    parts: list[RenderableType] = [Text(head, style="bold"), Text()]
    parts.append(_replicas(rows(fleet, room, columns), columns))
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


def rows(fleet: Json, lines: int, columns: int = 10_000) -> list[Row]:
    """Pools and as many of their replicas as there are lines for; what is left out is counted."""
    pools = fleet["pools"]
    each = max(1, lines // max(1, len(pools)) - 1)
    found: list[Row] = []
    for pool in pools:
        found.append(_pool_row(pool))
        ordered = sorted(pool["replicas"], key=_urgency)
        shown = [_replica_row(one, fleet["at"]) for one in ordered]
        if sum(_height(row, columns) for row in shown) > each:
            shown = _first_of(shown, each - 1, columns)
        found += shown
        if left := len(ordered) - len(shown):
            found.append(Row(f"  and {left} more", "", "", "", "", "", "", ""))
    return found


def _urgency(one: Json) -> tuple[bool, bool, int, str]:
    """What needs a look first; then the busiest."""
    return one["state"] in _WELL, not one["why"], -one["in_flight"], one["replica_id"]


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


def _first_of(rows: Sequence[Row], lines: int, columns: int) -> list[Row]:
    """As many as these lines hold, and one even where they hold none."""
    shown: list[Row] = []
    for row in rows:
        lines -= _height(row, columns)
        if lines < 0 and shown:
            break
        shown.append(row)
    return shown


def _height(row: Row, columns: int) -> int:
    """Lines of it, if its reason stands below."""
    return 1 + len(_reason(row, columns))


def _reason(row: Row, columns: int) -> list[str]:
    return wrap(printable(row.why), max(_NAME_MIN, columns - len(_INDENT)))


def _replicas(found: Sequence[Row], columns: int) -> Text:
    shown = [at for at, head in enumerate(_HEADS) if columns >= _COLUMNS_MIN.get(head, 0)]
    cells = [[_HEADS[at] for at in shown], *([printable(row[at]) for at in shown] for row in found)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    widths[0] = min(widths[0], max(_NAME_MIN, columns - sum(widths[1:]) - len(_GAP) * (len(widths) - 1)))
    lines = [_line(cells[0], widths, "bold"), Text("─" * (sum(widths) + len(_GAP) * (len(widths) - 1)), style="dim")]
    for row, texts in zip(found, cells[1:], strict=True):
        line = _line(texts, widths, "bold" if row.is_pool else "", _STYLES.get(row.state, ""))
        below = _reason(row, columns)
        if line.cell_len + len(_GAP) + cell_len(row.why) <= columns:
            line.append(_GAP + " ".join(below))
            below = []
        line.rstrip()
        lines += [line, *(Text(_INDENT + part) for part in below)]
    if not found:
        lines.append(Text("no replicas"))
    return Text("\n").join(lines)


def _line(texts: Sequence[str], widths: Sequence[int], style: str, state_style: str = "") -> Text:
    """Names and states to the left, figures to the right."""
    cells = [Text(text, style=style) for text in texts]
    cells[1].stylize(state_style)
    for at, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        cell.truncate(width, overflow="ellipsis")
        cell.align("left" if at <= 1 else "right", width)
    return Text(_GAP).join(cells)


def _talkers(talkers: Sequence[Json]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("tenant", no_wrap=True, overflow="ellipsis")
    for head in ("requests/s", "tokens/s", "per hour"):
        table.add_column(head, justify="right", no_wrap=True)
    for one in talkers:
        figures = f"{one['requests_per_s']:.1f}", f"{one['tokens_per_s']:.0f}", euro(one["per_hour"])
        table.add_row(Text(printable(one["tenant_id"])), *figures)
    return table
