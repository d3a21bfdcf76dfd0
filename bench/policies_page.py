"""Writes docs/reference/policies.md from the rows of policies.py."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tables import table

from parvis.cli.chart import Group, bars
from parvis.flows.simulated_gateway import OURS, POLICIES

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
STAGES = {
    "simulated, 6 machines": "Simulated: one gateway, six machines of profile `7b-a100`, 2,400 tokens a second of 60"
    " tenants, ten minutes.",
    "simulated, 6 machines, two gateways": "Simulated: the same with two gateways, which do not know what the other one"
    " has sent where.",
    "simulated fakes": "Simulated: the four engines of the next table, on the same record.",
    "fakes": "Real processes: four fake engines with a modelled prefix cache, which read prompts at 12,500 characters a"
    " second, one after another, and write a token each 10 ms.",
    "llama": "Real processes: three llama.cpp replicas of one thread, four places each, SmolLM2-135M;"
    " prompts of 250 to 950 tokens, so that to read one anew takes about a second: two cores are then half busy.",
}
_HEAD = ("policy", "prompt tokens cached", "first token, mean ms", "p95 ms", "requests", "failed")
CHARTS = {"hit_rate": ("prompt tokens cached, %", 100), "mean_ms": ("first token, mean ms", 1)}
_INTRO = """# Ways to choose a replica, compared

`make bench-policies` plays the same recorded conversations to each policy and writes this page. It compares how much of
all prompts an engine found in its cache, and the mean time to the first token. **{verdict}**

`parvis` is ours as it comes. `least-loaded` is ours with all weights but `load` set to 0. `round-robin` and
`consistent-hash` (tenant and the first 512 characters) are planted into a copy of our sources. `cache-aware` is
sglang-router's, as it comes; in the simulator it is our model of it. The conversations are drawn, not people's: twelve
applications, the first with most users, several turns behind a system text
([modelled_traffic.py](../../src/parvis/domain/fleet/modelled_traffic.py) has the draws). What is simulated is said to
be. Where there are several rounds, the middle is given.
"""


def write(rows: Sequence[dict[str, Any]], page: Path) -> Path:
    """All tables of a run, with its conditions."""
    conditions = next(row for row in rows if row["kind"] == "conditions")
    parts = [_INTRO.format(verdict=verdict(rows))]
    for stage, about in STAGES.items():
        if any(row.get("stage") == stage for row in rows):
            parts += [f"## {stage[0].upper()}{stage[1:]}\n", about + "\n", _table(rows, stage) + "\n"]
            parts += [_charts(rows, stage, page) + "\n"]
    shown = [[name, str(value)] for name, value in conditions.items() if name != "kind"]
    parts += ["## Conditions\n", table(["", ""], shown) + "\n"]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join(parts))
    return page


def verdict(rows: Sequence[dict[str, Any]]) -> str:
    """Where ours is the best in both figures, or level in caching as shown; where it is not; what is missing."""
    best: list[str] = []
    not_best: list[str] = []
    missing: list[str] = []
    for stage in STAGES:
        if not any(row.get("stage") == stage for row in rows):
            missing.append(stage)
            continue
        hits = {policy: _middle(rows, stage, policy, "hit_rate") for policy in POLICIES}
        means = {policy: _middle(rows, stage, policy, "mean_ms") for policy in POLICIES}
        first = round(hits[OURS], 3) >= round(max(hits.values()), 3) and means[OURS] <= min(means.values())
        (best if first else not_best).append(stage)
    told = f"Best in both figures: {'; '.join(best) or 'nowhere'}."
    told += f" Not best in both: {'; '.join(not_best)}." if not_best else ""
    return told + (f" Not measured in this run: {'; '.join(missing)}." if missing else "")


def _charts(rows: Sequence[dict[str, Any]], stage: str, page: Path) -> str:
    """Two files beside the page; the lines that show them."""
    page.parent.mkdir(parents=True, exist_ok=True)
    shown = []
    for name, (title, times) in CHARTS.items():
        figures = {policy: _middle(rows, stage, policy, name) * times for policy in POLICIES}
        drawn = bars(f"{stage}: {title}", [Group(policy, (("", figure),)) for policy, figure in figures.items()])
        file = f"{page.stem}-{stage.replace(', ', '-').replace(' ', '-')}-{name.replace('_', '-')}.svg"
        (page.parent / file).write_text(drawn)
        shown.append(f"![{title}, by policy: the table above as bars]({file})")
    return "\n".join(shown)


def _table(rows: Sequence[dict[str, Any]], stage: str) -> str:
    lines = []
    for policy in POLICIES:
        mine = [row for row in rows if row.get("stage") == stage and row["policy"] == policy]
        hit, mean, p95 = (_middle(rows, stage, policy, name) for name in ("hit_rate", "mean_ms", "p95_ms"))
        lines.append(
            [
                policy,
                f"{hit:.1%}",
                f"{mean:,.1f}",
                f"{p95:,.0f}",
                f"{mine[0]['requests']:,}",
                str(sum(row["failed"] for row in mine)),
            ]
        )
    return table(_HEAD, lines)


def _middle(rows: Sequence[dict[str, Any]], stage: str, policy: str, name: str) -> float:
    mine = (row for row in rows if row.get("stage") == stage and row["policy"] == policy)
    return float(statistics.median(row[name] for row in mine))
