"""Which of the measured rounds count, and the figures that they give.

A round counts when no answer was wrong. Where others worked on the two cores for more than a tenth of the
time, or the target still worked on what an earlier load had left, the round is disturbed. Noise only adds
processor time, so the least of the calm rounds is taken. Where none was calm the calmest is taken, and its
figures carry a star: a gateway that is kept from its core handles more bytes at a time and may look cheaper.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STRANGERS_MAX = 0.1
REFERENCE = "nginx"
Row = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A value and how to trust it. No value: nothing was measured."""

    value: float | None = None
    disturbed: bool = False

    def text(self, digits: int = 0, scale: float = 1.0) -> str:
        """For a table cell."""
        if self.value is None:
            return "-"
        return f"{self.value * scale:,.{digits}f}{'*' if self.disturbed else ''}"

    def over(self, other: "Figure") -> "Figure":
        """This in units of `other`."""
        if self.value is None or not other.value:
            return Figure()
        return Figure(self.value / other.value, self.disturbed or other.disturbed)

    def minus(self, other: "Figure") -> "Figure":
        """What this adds to `other`; never below zero."""
        if self.value is None or other.value is None:
            return Figure()
        return Figure(max(0.0, self.value - other.value), self.disturbed or other.disturbed)


def wrong(row: Row) -> int:
    """Answers of a round that were refused, broken off or cut."""
    return int(row["bad_status"] + row["broken"] + row["cut"])


class Measured:
    """The rows of one run, by kind."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.gateways = [row for row in rows if row["kind"] == "gateway"]
        self.engine = [row for row in rows if row["kind"] == "engine"]
        self.conditions = [row for row in rows if row["kind"] == "conditions"]
        self.targets = list(dict.fromkeys(row["target"] for row in self.gateways))
        self.phases = list(dict.fromkeys(row["phase"] for row in self.gateways))

    def rounds(self, target: str, phase: str) -> list[Row]:
        """All rounds, wrong ones too."""
        return [row for row in self.gateways if row["target"] == target and row["phase"] == phase]

    def _counting(self, target: str, phase: str) -> tuple[list[Row], bool]:
        """The rounds that count, and whether they are disturbed."""
        right = [row for row in self.rounds(target, phase) if not wrong(row)]
        calm = [row for row in right if row["quiet"] and row["strangers"] <= STRANGERS_MAX]
        calmest = sorted(right, key=lambda row: (not row["quiet"], row["strangers"]))[:1]
        return calm or calmest, not calm

    def least(self, target: str, phase: str, name: str) -> Figure:
        """The least value of one column; what is zero or missing was not measured."""
        rows, disturbed = self._counting(target, phase)
        values = [row[name] for row in rows if row[name]]
        return Figure(min(values), disturbed) if values else Figure()

    def most(self, target: str, phase: str, name: str) -> Figure:
        """The greatest value of one column."""
        rows, disturbed = self._counting(target, phase)
        values = [row[name] for row in rows if row[name]]
        return Figure(max(values), disturbed) if values else Figure()

    def ratio(self, target: str, phase: str, name: str) -> Figure:
        """The least value in units of the reference's least value."""
        return self.least(target, phase, name).over(self.least(REFERENCE, phase, name))

    def wrong(self, target: str, phase: str) -> int:
        """Wrong answers in all rounds together."""
        return sum(wrong(row) for row in self.rounds(target, phase))


def read(path: Path) -> Measured:
    """The rows of one JSON-lines file."""
    return Measured([json.loads(line) for line in path.read_text().splitlines()])
