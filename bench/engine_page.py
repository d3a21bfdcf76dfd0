"""Writes docs/reference/engine-room.md and its charts from the rows of engine_room.py.

usage: engine_page.py RESULTS.jsonl
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from engine_goals import GOALS, Goal, Rows, figure, share_percent
from layouts import CHOSEN, LAYOUTS
from lines import Points, lines
from rows import read_rows
from tables import table

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
ROLES = ("gateway", "control", "supervisor", "engine", "generator")
_INTRO = """# The engine room, measured

`make bench-engine` measures the service with its embedded engines and writes this page. Everything is on, as
`parvis up` starts it: keys, credit, durable usage. Clients, gateway, control and engines share the cores of one
machine. **{verdict}**

Prompts are of some 50 tokens, no two are equal, and answers of 64 tokens at most. A token is what `usage` counts.
Figures are medians of the rounds: {rounds}. One run on one machine: a quarter more or less is noise.
"""
_STEADY = """\
Who has an answer asks again at once. Before the window of some seconds the crowd has read its prompts; first answers
are of all lengths, so that users do not go in step. `>`: time was up before enough of them had a first token."""
_BURST = """All ask in the same instant, once; tokens/s over the time until the last has its answer."""
_PREFIX = """One user asks about the same thousand tokens again and again; only the last words differ."""
_EMBEDDINGS = """\
all-MiniLM-L6-v2 by llama.cpp on one thread; texts of some ten tokens, a new one each time."""
_START = """\
From the command `parvis up` to the end of the first answer, which is asked for until it comes. The weights were
converted at an earlier start. The embedding model starts too. Memory is Rss just after, shared pages whole."""
_SHARE = """\
Percent of the processor time of all processes of the bench, while 64 streams were open. Supervisor: the rest of
`parvis up`. Generator: the clients."""


def write(rows: Rows, results: Path, page: Path) -> Path:
    """The page, with what was measured; charts lie beside it."""
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join(_parts(rows, results, page)))
    return page


def _parts(rows: Rows, results: Path, page: Path) -> Iterator[str]:
    names = measured_layouts(rows)
    yield _INTRO.format(verdict=verdict(rows), rounds=_rounds(rows, names))
    yield table(["layout", ""], [[f"`{name}`", LAYOUTS[name].about] for name in names]) + "\n"
    if told := chosen(rows):
        yield f"Where the settings say nothing `parvis up` chose: {told}\n"
    names = [name for name in names if name != CHOSEN]
    yield "## Goals\n\n" + _goal_table(rows, names) + "\n"
    yield from _crowds(rows, names, page)
    for title, about, kind, shown in (
        ("A prefix that comes again", _PREFIX, "prefix", _prefixes),
        ("Embeddings", _EMBEDDINGS, "embeddings", _embeddings),
        ("Start", _START, "start", lambda rows, _: _starts(rows, measured_layouts(rows))),
    ):
        if any(row["kind"] == kind for row in rows):
            yield f"## {title}\n\n{about}\n\n{shown(rows, names)}\n"
    yield from _soaks(rows, page)
    yield f"## Conditions\n\n{_conditions(rows)}\n\nRaw rows: `bench/results/{results.name}`.\n"


def measured_layouts(rows: Rows) -> list[str]:
    """Those with rows, in the bench's order."""
    return [name for name in LAYOUTS if any(row.get("layout") == name for row in rows)]


def verdict(rows: Rows) -> str:
    """Which goals some layout reaches, which none; what was not measured."""
    names = measured_layouts(rows)
    found: dict[str, list[str]] = {"held": [], "missed": [], "unknown": []}
    for goal in GOALS:
        words = [goal.held(rows, name) for name in names]
        found["held" if True in words else "missed" if False in words else "unknown"].append(goal.promise)
    told = f"{len(found['held'])} of {len(GOALS)} goals are held by one layout or another."
    told += f" By none: {'; '.join(found['missed'])}." if found["missed"] else ""
    return told + (f" Not measured: {'; '.join(found['unknown'])}." if found["unknown"] else "")


def chosen(rows: Rows) -> str:
    """How `parvis up` serves here where nobody said how, in its words; empty when that was not measured."""
    told = [row["told"] for row in rows if row["kind"] == "start" and row["layout"] == CHOSEN]
    return str(told[-1]) if told else ""


def _rounds(rows: Rows, names: Sequence[str]) -> str:
    counts = [
        (name, len({row["round"] for row in rows if row.get("layout") == name and row["kind"] == "steady"}))
        for name in names
    ]
    return ", ".join(f"{count} of {name}" for name, count in counts if count) or "none"


def _goal_table(rows: Rows, names: Sequence[str]) -> str:
    lines = [[goal.promise, goal.told, *(_cell(goal, rows, name) for name in names)] for goal in GOALS]
    return table(["", "goal", *names], lines)


def _cell(goal: Goal, rows: Rows, name: str) -> str:
    held = goal.held(rows, name)
    word = {True: "held", False: "**not held**", None: ""}[held]
    return f"{goal.figure(rows, name).text(goal.digits)} {word}".strip()


# Crowds


def _crowds(rows: Rows, names: Sequence[str], page: Path) -> Iterator[str]:
    for kind, title, about in (("steady", "Open streams", _STEADY), ("burst", "All at once", _BURST)):
        if not any(row["kind"] == kind for row in rows):
            continue
        yield f"## {title}\n\n{about}\n"
        yield _crowd_table(rows, names, kind, "tokens_per_s", "tokens/s")
        yield _crowd_table(rows, names, kind, "first_token_ms_p50", "first token p50, ms")
        yield _crowd_table(rows, names, kind, "first_token_ms_p95", "first token p95, ms")
        yield _failed(rows, kind)
        yield _crowd_chart(rows, names, kind, "tokens_per_s", f"{title}: tokens/s", page)
        yield _crowd_chart(rows, names, kind, "first_token_ms_p50", f"{title}: first token p50, ms", page)
    if any(row["kind"] == "steady" for row in rows):
        yield f"## Who takes the processor time\n\n{_SHARE}\n\n{_shares(rows, names)}\n"


def _levels(rows: Rows, kind: str) -> list[int]:
    return sorted({row["users"] for row in rows if row["kind"] == kind})


def _crowd_table(rows: Rows, names: Sequence[str], kind: str, column: str, told: str) -> str:
    lines = [
        [name, *(figure(rows, name, kind, column, users=users).text() for users in _levels(rows, kind))]
        for name in names
    ]
    return table([told, *map(str, _levels(rows, kind))], lines) + "\n"


def _failed(rows: Rows, kind: str) -> str:
    mine = [row for row in rows if row["kind"] == kind]
    failed = sum(row["failed"] for row in mine)
    why = "; ".join(sorted({row["failure"] for row in mine if row["failure"]}))
    cut = sum(row.get("unfinished", 0) for row in mine)
    told = f"Failed: {failed:,}{f' ({why})' if why else ''}."
    return f"{told} Not finished in time: {cut:,}.\n" if cut else f"{told}\n"


def _crowd_chart(rows: Rows, names: Sequence[str], kind: str, column: str, title: str, page: Path) -> str:
    """Only what is known: a bound is no point of a curve."""
    series: list[tuple[str, Points]] = []
    for name in names:
        found = {users: figure(rows, name, kind, column, users=users) for users in _levels(rows, kind)}
        series.append(
            (name, [(users, one.value) for users, one in found.items() if one.value is not None and one.exact])
        )
    drawn = lines(title, "streams", [one for one in series if one[1]], doubling=True)
    return _image(page, f"{kind}-{column.replace('_', '-')}", title, drawn)


def _shares(rows: Rows, names: Sequence[str]) -> str:
    lines = [[name, *(share_percent(rows, name, role, 64).text(1) for role in ROLES)] for name in names]
    return table(["", *ROLES], lines)


# The other parts


def _prefixes(rows: Rows, names: Sequence[str]) -> str:
    columns = ("first_ms_p50", "repeat_ms_p50", "repeat_ms_p95", "prompt_tokens", "cached_tokens")
    lines = [[name, *(figure(rows, name, "prefix", column).text() for column in columns)] for name in names]
    return table(["", "first time, ms", "again p50, ms", "again p95, ms", "prompt tokens", "of these cached"], lines)


def _embeddings(rows: Rows, _names: Sequence[str]) -> str:
    mine = [row for row in rows if row["kind"] == "embeddings"]
    ways = list(dict.fromkeys(row["way"] for row in mine))
    layout = mine[0]["layout"]
    found = [
        [figure(rows, layout, "embeddings", column, way=way) for column in ("texts_per_s", "ms_each")] for way in ways
    ]
    return table(
        ["", "texts/s", "ms a request"],
        [[way, *(one.text(1) for one in two)] for way, two in zip(ways, found, strict=True)],
    )


def _starts(rows: Rows, names: Sequence[str]) -> str:
    lines = []
    for name in names:
        mine = [row for row in rows if row["kind"] == "start" and row["layout"] == name]
        if mine:
            seconds = [row["seconds"] for row in mine]
            spread = f"{min(seconds):.1f} to {max(seconds):.1f}"
            memory = mine[-1]["rss_mib"]
            engines = [f"{size:,.0f}" for size in memory.get("engine", ())]
            others = [f"{sum(memory.get(role, ())):,.0f}" for role in ("gateway", "control", "supervisor")]
            middle = figure(rows, name, "start", "seconds").text(1)
            lines.append([name, middle, spread, str(len(mine)), *others, ", ".join(engines)])
    return table(["", "seconds", "from, to", "starts", "gateway MiB", "control", "supervisor", "engines, each"], lines)


def _soaks(rows: Rows, page: Path) -> Iterator[str]:
    for row in rows:
        if row["kind"] != "soak":
            continue
        minutes = row["seconds"] / 60
        title = f"{row['users']} streams for {minutes:.0f} minutes, {row['layout']}"
        grown = ", ".join(f"{role} {percent:+.1f} %" for role, percent in row["growth_percent"].items())
        told = f"{row['answers']:,} answers, {row['tokens_per_s']:,.0f} tokens/s, {row['failed']} failed"
        told += f" ({row['failure']})" if row["failure"] else ""
        yield f"## {title}\n"
        p50, p95 = (figure([row], row["layout"], "soak", f"first_token_ms_p{rank}").text() for rank in (50, 95))
        yield f"{told}. First token p50 {p50} ms, p95 {p95} ms.\n"
        yield f"Memory from the sixth minute to the last: {grown or 'too short to tell'}.\n"
        series = [
            (role, [(sample["second"] / 60, sum(sample["rss_mib"].get(role, ()))) for sample in row["samples"]])
            for role in row["samples"][-1]["rss_mib"]
        ]
        yield _image(page, "soak", f"{title}: Rss, MiB", lines(f"{title}: Rss, MiB", "minutes", series))


def _conditions(rows: Rows) -> str:
    parts: list[str] = []
    for row in rows:
        if row["kind"] == "conditions":
            told: list[Sequence[str]] = [[name, _word(value)] for name, value in row.items() if name != "kind"]
            parts.append(table(["", ""], told))
    return "\n\n".join(parts)


def _word(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _image(page: Path, name: str, title: str, drawn: str) -> str:
    """A file beside the page; the line that shows it."""
    file = f"{page.stem}-{name}.svg"
    (page.parent / file).write_text(drawn)
    return f"![{title}]({file})\n"


if __name__ == "__main__":
    source = Path(sys.argv[1])
    print(write(read_rows(source), source, FOLDER / "engine-room.md").read_text())
