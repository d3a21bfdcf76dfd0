"""A page and charts from a run's JSON lines.

usage: summary.py RESULTS.jsonl      writes RESULTS.md and two images beside it
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import engine
import tables
from chart import PANELS, svg
from figures import Measured, read
from phases import TWO_CORES, phase_of
from targets import TLS

HOW_TO_READ = """\
Processor time is the gateway's alone, read from its process CPU clocks: the least of the calm rounds. All else is
the median of the calm rounds; what is marked + is the target's figure less that of the mock alone in the same round
(`direct`, whose own is in brackets). Stalls are the longest of all calm rounds, memory the median of all rounds. A
star: no round was calm, the calmest is given; do not quote it. A whole answer of Parvis waits until its usage is on
disk (see `fdatasync` above), which no other target does. [bench/README.md](../README.md) tells the rest."""
TWO_CORES_NOTE = """\
Gateways have two workers and both cores; mock, generator and Parvis' control process share these cores with them,
so answers a second are what two cores give to all of it together."""


def section(title: str, *texts: str) -> str:
    """A titled part."""
    return "\n\n".join([f"## {title}", *texts]) + "\n"


def conditions(measured: Measured) -> str:
    """One line a condition; a part that was measured at another time has its own list."""
    lists = []
    for row in measured.conditions:
        items = [f"- {name}: {value}" for name, value in row.items() if name not in ("kind", "parts")]
        several = len(measured.conditions) > 1 and "parts" in row
        lists.append("\n".join([f"{', '.join(row['parts'])}:\n", *items] if several else items))
    return "\n\n".join(lists) or "Conditions were not recorded."


def keys(measured: Measured) -> str:
    """Who lets in a caller whose key nobody has."""
    names = [name for name, checks in measured.checks_keys.items() if not checks and name != "direct"]
    return f"Without a check of the caller's key: {', '.join(names)}." if names else ""


def parts(measured: Measured, images: dict[str, str]) -> Iterator[str]:
    """The page, piece by piece."""
    yield "# Bench results\n"
    yield conditions(measured) + "\n"
    if measured.gateways:
        yield section("Goals", tables.verdict_table(measured))
        yield section("Charts", *(f"![{PANELS[name].title}]({file})" for name, file in images.items()))
        yield section("How to read the tables", HOW_TO_READ, *filter(None, [keys(measured)]))
    for phase in measured.phases:
        if phase.endswith(TWO_CORES):
            yield section(f"{phase_of(phase).title}, on two cores", TWO_CORES_NOTE, tables.phase_table(measured, phase))
        elif phase == "big":
            yield section(f"{phase_of(phase).title} ({phase})", tables.prompts(measured), *_steps(measured))
        else:
            yield section(f"{phase_of(phase).title} ({phase})", tables.phase_table(measured, phase))
    if any(name.endswith(TLS) for name in measured.targets):
        yield section("TLS 1.3, connections kept alive", tables.over_tls(measured))
    if any("backlog" in row for row in measured.gateways):
        yield section("The ledger of the product", tables.ledger(measured))
    if measured.gateways:
        yield section("Memory of the gateway", tables.memory(measured))
    if measured.soaks:
        yield section("The product under a mixed load", tables.soaks(measured))
    if measured.engine:
        yield section("The service with its embedded engine", engine.table(measured.engine))


def _steps(measured: Measured) -> list[str]:
    """The product's steps, where they were measured."""
    said = "The steps of the product, measured one by one on the same bodies in a process of their own:"
    return [said, tables.steps(measured)] if measured.steps else []


def write(results: Path) -> Path:
    """Write the page and the charts beside `results`; returns the page's path."""
    measured, page = read(results), results.with_suffix(".md")
    images = {}
    for name in PANELS:
        if drawn := svg(measured, name):
            image = results.with_name(f"{results.stem}-{name}.svg")
            image.write_text(drawn)
            images[name] = image.name
    page.write_text("\n".join(parts(measured, images)))
    return page


if __name__ == "__main__":
    print(write(Path(sys.argv[1])).read_text())
