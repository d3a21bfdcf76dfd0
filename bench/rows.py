"""The raw lines of a run: one JSON object a line. Each row belongs to a part, and a part can be measured again."""

import json
from pathlib import Path
from typing import Any

PARTS = ("gateways", "two-cores", "steps", "soak", "engine")
Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """All rows of a file; none when there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class Rows:
    """A results file that is being written. What it has of the parts that are measured now goes; the rest stays."""

    def __init__(self, path: Path, parts: tuple[str, ...]) -> None:
        self._path = path
        others = [fresh for row in read_rows(path) if (fresh := _without(row, parts))]
        path.write_text("".join(json.dumps(row) + "\n" for row in others))

    def add(self, row: Row) -> None:
        """Append one row; it is on file when this returns."""
        with self._path.open("a") as lines:
            lines.write(json.dumps(row) + "\n")


def _without(row: Row, parts: tuple[str, ...]) -> Row | None:
    """The row, if it belongs to other parts too. Conditions are those of several."""
    if row["kind"] != "conditions":
        return None if row.get("part") in (None, *parts) else row
    left = [part for part in row.get("parts", ()) if part not in parts]
    return {**row, "parts": left} if left else None
