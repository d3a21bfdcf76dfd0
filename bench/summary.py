"""Markdown tables and a chart from a run's JSON lines.

usage: summary.py RESULTS.jsonl      writes RESULTS.md and RESULTS.svg beside it
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import chart
import engine
from figures import Measured, read
from phases import PHASES

NOTES = """\
Processor time is the gateway's alone, read from its process CPU clocks, on a core of its own; the mock,
the load generator and the control process share the other core. The least of the calm rounds is given, and
its ratio to nginx in the same run. A star: no round was calm, the calmest is given. LiteLLM runs without its
database, which flatters it. bench/README.md tells how to read the rest."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def conditions(measured: Measured) -> str:
    """One line a condition, of the last run in the file."""
    if not measured.conditions:
        return "Conditions were not recorded."
    items = measured.conditions[-1].items()
    return "\n".join(f"- {name}: {value}" for name, value in items if name != "kind")


def whole_answers(measured: Measured) -> str:
    """Saturation by answers in one piece."""
    head = [
        "target",
        "answers/s",
        "µs CPU/answer",
        "nginx = 1",
        "rounds",
        "control µs",
        "p50 ms",
        "p99 ms",
        "wrong",
    ]
    rows = []
    for name in measured.targets:
        spread = [row["cpu_us_per_request"] for row in measured.rounds(name, "sat")]
        rows.append(
            [
                name,
                measured.most(name, "sat", "requests_per_s").text(),
                measured.least(name, "sat", "cpu_us_per_request").text(1),
                measured.ratio(name, "sat", "cpu_us_per_request").text(2),
                f"{min(spread):,.0f} to {max(spread):,.0f}" if any(spread) else "-",
                measured.least(name, "sat", "control_us_per_request").text(1),
                measured.least(name, "sat", "latency_us_p50").text(2, 1e-3),
                measured.least(name, "sat", "latency_us_p99").text(2, 1e-3),
                str(measured.wrong(name, "sat")),
            ]
        )
    return table(head, rows)


def streams(measured: Measured, phase: str) -> str:
    """One streaming phase. The first event is given as what the gateway adds to the mock alone."""
    head = [
        "target",
        "µs CPU/event",
        "nginx = 1",
        "events/s",
        "first event, + ms",
        "delay p50 ms",
        "p99 ms",
        "wrong",
    ]
    alone = measured.least("direct", phase, "first_event_us_p50")
    rows = [
        [
            name,
            measured.least(name, phase, "cpu_us_per_event").text(1),
            measured.ratio(name, phase, "cpu_us_per_event").text(2),
            measured.most(name, phase, "events_per_s").text(),
            measured.least(name, phase, "first_event_us_p50").minus(alone).text(2, 1e-3),
            measured.least(name, phase, "event_delay_us_p50").text(2, 1e-3),
            measured.least(name, phase, "event_delay_us_p99").text(2, 1e-3),
            str(measured.wrong(name, phase)),
        ]
        for name in measured.targets
    ]
    return table(head, rows)


def fixed_rate(measured: Measured, phase: str) -> str:
    """One phase at a fixed rate: what the gateway adds to the mock alone."""
    rate = PHASES[phase].rate_per_s
    head = ["target", "µs CPU/answer", "nginx = 1", "+ p50 ms", "+ p99 ms", "rate held"]
    rows = []
    for name in measured.targets:
        added = [
            measured.least(name, phase, column).minus(measured.least("direct", phase, column)).text(2, 1e-3)
            for column in ("latency_us_p50", "latency_us_p99")
        ]
        held = measured.most(name, phase, "requests_per_s").value or 0.0
        cost = measured.least(name, phase, "cpu_us_per_request").text(1)
        ratio = measured.ratio(name, phase, "cpu_us_per_request").text(2)
        rows.append([name, cost, ratio, *added, "yes" if held > 0.97 * rate else f"no, {held:,.0f}/s"])
    return table(head, rows)


def memory(measured: Measured) -> str:
    """Gateway memory: started and idle, and in the middle of the greatest number of streams measured."""
    phase = max(measured.phases, key=lambda p: (PHASES[p].streamed, PHASES[p].connections))
    count = PHASES[phase].connections
    head = ["target", "idle, Pss MiB", "idle, Rss", f"under {count} connections ({phase}), Pss", "Rss"]
    rows = [
        [
            name,
            measured.least(name, phase, "pss_idle_mib").text(),
            measured.least(name, phase, "rss_idle_mib").text(),
            measured.most(name, phase, "pss_mib").text(),
            measured.most(name, phase, "rss_mib").text(),
        ]
        for name in measured.targets
        if name != "direct"
    ]
    return table(head, rows)


def section(title: str, text: str) -> str:
    """A titled part."""
    return f"## {title}\n\n{text}\n"


def report(measured: Measured, image: str) -> str:
    """The whole page; `image` is the chart's file name."""
    parts = ["# Bench results\n", conditions(measured) + "\n"]
    if measured.gateways:
        parts += [f"![Processor time by target]({image})\n", NOTES + "\n"]
    for name in measured.phases:
        phase = PHASES[name]
        if phase.streamed:
            parts.append(section(f"{phase.connections} streams ({name})", streams(measured, name)))
        elif phase.rate_per_s:
            parts.append(section(f"{phase.rate_per_s} answers a second", fixed_rate(measured, name)))
        else:
            parts.append(section(f"Whole answers, {phase.connections} connections", whole_answers(measured)))
    if measured.gateways:
        parts.append(section("Memory of the gateway", memory(measured)))
    if measured.engine:
        parts.append(section("The service with its embedded engine", engine.table(measured.engine)))
    return "\n".join(parts)


def write(results: Path) -> Path:
    """Write the page and the chart beside `results`; returns the page's path."""
    measured, page, image = read(results), results.with_suffix(".md"), results.with_suffix(".svg")
    image.write_text(chart.svg(measured))
    page.write_text(report(measured, image.name))
    return page


if __name__ == "__main__":
    print(write(Path(sys.argv[1])).read_text())
