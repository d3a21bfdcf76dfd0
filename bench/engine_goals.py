"""What the engine room is to reach, and the figures that tell: medians over the rounds of a run."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

Rows = Sequence[dict[str, Any]]


class Figure(NamedTuple):
    """A measured value. Not `exact`: it is more than that, nobody knows how much. None: not measured."""

    value: float | None = None
    exact: bool = True

    def text(self, digits: int = 0) -> str:
        """For a table cell."""
        return "-" if self.value is None else f"{'' if self.exact else '> '}{self.value:,.{digits}f}"


def figure(rows: Rows, layout: str, kind: str, column: str, **which: Any) -> Figure:
    """The median of a column over the rounds in which it was measured."""
    mine = [row for row in rows if row["kind"] == kind and row.get("layout") == layout and column in row]
    mine = [row for row in mine if all(row[name] == value for name, value in which.items())]
    if not mine:
        return Figure()
    return Figure(
        statistics.median(row[column] for row in mine), exact=all(row.get(f"{column}_exact", True) for row in mine)
    )


def share_percent(rows: Rows, layout: str, role: str, users: int) -> Figure:
    """Of the processor time of all processes, generator included, while so many streams were open."""
    used = [row["cpu_s"] for row in rows if _is(row, layout, users)]
    shares = [one[role] / sum(one.values()) * 100 for one in used if sum(one.values())]
    return Figure(statistics.median(shares)) if shares else Figure()


def _is(row: dict[str, Any], layout: str, users: int) -> bool:
    return bool(row["kind"] == "steady" and row["layout"] == layout and row["users"] == users)


def growth(rows: Rows, layout: str) -> Figure:
    """The most that any kind of process grew in a soak that was long enough to tell, in percent."""
    grown = [row["growth_percent"] for row in rows if row["kind"] == "soak" and row["layout"] == layout]
    return Figure(max(grown[-1].values())) if grown and grown[-1] else Figure()


def soak_failures(rows: Rows, layout: str) -> Figure:
    """Answers that did not come whole, of a soak that was long enough to tell."""
    failed = [row["failed"] for row in rows if row["kind"] == "soak" and row["layout"] == layout]
    return Figure(failed[-1] if failed else None)


@dataclass(frozen=True)
class Goal:
    """`figure` of a layout must be at most `limit`, with `floor` at the least."""

    promise: str
    limit: float
    unit: str
    figure: Callable[[Rows, str], Figure]
    floor: bool = False
    digits: int = 0

    @property
    def told(self) -> str:
        """The limit, for people."""
        if not self.limit:
            return "none"
        return f"{'≥' if self.floor else '≤'} {self.limit:,.{self.digits}f} {self.unit}".strip()

    def held(self, rows: Rows, layout: str) -> bool | None:
        """Whether this layout reaches it; None when that was not measured. What is only bounded below is no success."""
        found = self.figure(rows, layout)
        if found.value is None:
            return None
        return found.value >= self.limit if self.floor else found.exact and found.value <= self.limit


def tokens(users: int) -> Goal:
    """Generated tokens a second with so many open streams."""
    promise = f"tokens/s, {users} streams open"
    return Goal(
        promise, 420, "", lambda rows, layout: figure(rows, layout, "steady", "tokens_per_s", users=users), floor=True
    )


def first(users: int, limit_ms: float) -> Goal:
    """Time to the first token when so many ask in the same instant."""
    promise = f"first token p50, {users} at once"
    return Goal(
        promise, limit_ms, "ms", lambda rows, layout: figure(rows, layout, "burst", "first_token_ms_p50", users=users)
    )


GOALS = (
    tokens(64),
    tokens(128),
    first(4, 200),
    first(8, 250),
    first(16, 350),
    Goal(
        "first token p50, 1k prefix again", 150, "ms", lambda rows, name: figure(rows, name, "prefix", "repeat_ms_p50")
    ),
    Goal(
        "short texts embedded/s, one thread",
        120,
        "",
        lambda rows, name: figure(rows, name, "embeddings", "texts_per_s", way="single"),
        floor=True,
    ),
    Goal("start to first answer", 6, "s", lambda rows, name: figure(rows, name, "start", "seconds"), digits=1),
    Goal(
        "gateway's share of processor time, 64 streams",
        5,
        "%",
        lambda rows, name: share_percent(rows, name, "gateway", 64),
        digits=1,
    ),
    Goal("128 streams for long: failed answers", 0, "", soak_failures),
    Goal("128 streams for long: growth of memory", 5, "%", growth, digits=1),
)
