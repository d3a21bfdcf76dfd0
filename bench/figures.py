"""Which of the measured rounds count, and the figures that they give.

A round counts when no answer was wrong. Where others worked on the two cores for more than a tenth of the time, or
the target still worked on what an earlier load had left, the round is disturbed. Of the calm rounds, processor time
is the least, since noise only adds to it, and all else is the median. Where none was calm the calmest is taken, and
its figures carry a star: a gateway that is kept from its core handles more bytes at a time and may look cheaper.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rows import read_rows

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
        """What this adds to `other`."""
        if self.value is None or other.value is None:
            return Figure()
        return Figure(self.value - other.value, self.disturbed or other.disturbed)

    def times(self, factor: float) -> "Figure":
        """In another unit."""
        return Figure(None if self.value is None else self.value * factor, self.disturbed)


def wrong(row: Row) -> int:
    """Answers of a round that were refused, broken off or cut."""
    return int(row["bad_status"] + row["broken"] + row["cut"])


class Measured:
    """The rows of one results file, by kind."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.gateways = self._of(rows, "gateway")
        self.engine = self._of(rows, "engine")
        self.soaks = self._of(rows, "soak")
        self.steps = self._of(rows, "step")
        self.conditions = self._of(rows, "conditions")
        self.checks_keys = {row["target"]: row["checks_keys"] for row in self._of(rows, "target")}
        self.targets = list(dict.fromkeys(row["target"] for row in self.gateways))
        self.phases = list(dict.fromkeys(row["phase"] for row in self.gateways))

    @staticmethod
    def _of(rows: Sequence[Row], kind: str) -> list[Row]:
        return [row for row in rows if row["kind"] == kind]

    def takers(self, phase: str) -> list[str]:
        """The targets that were measured in this phase."""
        return [name for name in self.targets if self.rounds(name, phase)]

    def rounds(self, target: str, phase: str) -> list[Row]:
        """All rounds, wrong ones too."""
        return [row for row in self.gateways if row["target"] == target and row["phase"] == phase]

    def least(self, target: str, phase: str, name: str) -> Figure:
        """The least value of one column; what is zero or missing was not measured."""
        return self._pick(target, phase, lambda row: row.get(name), min)

    def median(self, target: str, phase: str, name: str) -> Figure:
        """The median of one column."""
        return self._pick(target, phase, lambda row: row.get(name), statistics.median)

    def most(self, target: str, phase: str, name: str) -> Figure:
        """The greatest value of one column."""
        return self._pick(target, phase, lambda row: row.get(name), max)

    def steady(self, target: str, phase: str, name: str) -> Figure:
        """The median of a column that others on the machine do not disturb, over all rounds."""
        values = [row[name] for row in self.rounds(target, phase) if row.get(name)]
        return Figure(statistics.median(values)) if values else Figure()

    def ratio(self, target: str, phase: str, name: str) -> Figure:
        """The least value in units of the reference's least value."""
        return self.least(target, phase, name).over(self.least(REFERENCE, phase, name))

    def added(self, target: str, phase: str, name: str) -> Figure:
        """The median of what the target adds to the mock alone in the same round."""
        alone = {row["round"]: row.get(name) for row in self.rounds("direct", phase)}

        def more(row: Row) -> float | None:
            mine, theirs = row.get(name), alone.get(row["round"])
            return mine - theirs if mine and theirs else None

        return self._pick(target, phase, more, statistics.median)

    def wrong(self, target: str, phase: str) -> str:
        """Wrong answers in all rounds together, and those that were left unfinished."""
        rounds = self.rounds(target, phase)
        left = sum(row["unfinished"] for row in rounds)
        return f"{sum(wrong(row) for row in rounds)}{f' and {left} left' if left else ''}"

    def _pick(self, target: str, phase: str, value: Any, choose: Any) -> Figure:
        """Choose among the values of the rounds that count."""
        right = [row for row in self.rounds(target, phase) if not wrong(row)]
        calm = [row for row in right if row["quiet"] and row["strangers"] <= STRANGERS_MAX]
        calmest = sorted(right, key=lambda row: (not row["quiet"], row["strangers"]))[:1]
        values = [found for row in calm or calmest if (found := value(row))]
        return Figure(choose(values), disturbed=not calm) if values else Figure()


def read(path: Path) -> Measured:
    """The rows of one JSON-lines file."""
    return Measured(read_rows(path))
