"""The engine room's figures in README.md and README.fr.md, between two marks. Both say the same.

usage: engine_readme.py RESULTS.jsonl              writes both
       engine_readme.py RESULTS.jsonl --check      status 1 when they say something else
"""

import sys
from pathlib import Path

from engine_goals import GOALS, Figure, Rows, figure, share_percent
from engine_page import chosen, measured_layouts
from layouts import LAYOUTS
from places import BENCH
from readme import ENGLISH, FRENCH, Language, wrapped, written
from rows import read_rows

BEGIN, END = "<!-- engine-room:begin -->", "<!-- engine-room:end -->"
TEXTS = {ENGLISH.file: "engine-room.md", FRENCH.file: "engine-room.fr.md"}
NEEDED = ("steady", "burst", "prefix", "embeddings", "start")


def complete(rows: Rows) -> bool:
    """Whether every layout and every part but the soak was measured, so that the figures may be shown."""
    kinds = {row["kind"] for row in rows}
    return set(NEEDED) <= kinds and measured_layouts(rows) == list(LAYOUTS)


def shown_layout(rows: Rows) -> str:
    """The one that `parvis up` chooses, or else the one that gives most at 64 streams: all figures are of this one."""
    told = chosen(rows)
    for name in measured_layouts(rows):
        if told.startswith(LAYOUTS[name].words):
            return name
    return max(
        measured_layouts(rows), key=lambda name: figure(rows, name, "steady", "tokens_per_s", users=64).value or 0
    )


def figures(rows: Rows) -> dict[str, str]:
    """The words of the text, in English figures."""
    name = shown_layout(rows)
    tokens = {f"tokens_{users}": figure(rows, name, "steady", "tokens_per_s", users=users) for users in (32, 64, 128)}
    first = {f"first_{users}": figure(rows, name, "burst", "first_token_ms_p50", users=users) for users in (4, 8, 16)}
    again = {"again": figure(rows, name, "prefix", "repeat_ms_p50")}
    embedded = [figure(rows, other, "embeddings", "texts_per_s", way="single") for other in measured_layouts(rows)]
    texts = {"texts": next((one for one in embedded if one.value is not None), Figure())}
    exact = {word: one.text() for word, one in {**tokens, **first, **again, **texts}.items()}
    fine = {"start": figure(rows, name, "start", "seconds"), "share": share_percent(rows, name, "gateway", 64)}
    return exact | {word: one.text(1) for word, one in fine.items()} | _counted(rows)


def _counted(rows: Rows) -> dict[str, str]:
    """How many goals some layout reaches, none, and how many are unknown."""
    words = [[goal.held(rows, name) for name in measured_layouts(rows)] for goal in GOALS]
    held, missed = sum(True in one for one in words), sum(True not in one and False in one for one in words)
    return {"held": str(held), "missed": str(missed), "unknown": str(len(words) - held - missed)}


def block(rows: Rows, language: Language) -> str:
    """What stands between the marks."""
    conditions = next(row for row in rows if row["kind"] == "conditions" and "throughput" in row["parts"])
    processor = written(conditions["processor"], language, figures=False)
    said = {word: written(text, language) for word, text in figures(rows).items()}
    words = {**conditions, **said, "processor": processor, "layout": f"`{shown_layout(rows)}`"}
    words["cores"] = conditions["processor"].rpartition(", ")[2].split()[0]
    text = (BENCH / "texts" / TEXTS[language.file]).read_text().strip().format_map(words)
    return "\n\n".join(map(wrapped, text.split("\n\n")))


def rendered(results: Path) -> dict[Path, str]:
    """Both files as they should be, from this results file."""
    rows, files = read_rows(results), {}
    for language in (ENGLISH, FRENCH):
        path = BENCH.parent / language.file
        before, begin, rest = path.read_text().partition(f"{BEGIN}\n")
        _, end, after = rest.partition(f"{END}")
        files[path] = f"{before}{begin}{block(rows, language)}\n{end}{after}" if end else before
    return files


def write(results: Path) -> None:
    """Bring both files up to date."""
    for path, text in rendered(results).items():
        path.write_text(text)


if __name__ == "__main__":
    if "--check" in sys.argv:
        other = [path.name for path, text in rendered(Path(sys.argv[1])).items() if path.read_text() != text]
        sys.exit(f"not what the bench writes: {', '.join(other)}" if other else 0)
    write(Path(sys.argv[1]))
