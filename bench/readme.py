"""The figures in README.md and README.fr.md, between two marks, from a results file. Both say the same.

usage: readme.py RESULTS.jsonl              writes both
       readme.py RESULTS.jsonl --check      status 1 when they say something else
"""

import re
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

from figures import Measured, read
from goals import CPU_ANSWER, CPU_EVENT, MB_PER_MIB, verdicts
from phases import PHASES
from places import BENCH
from tables import MS
from targets import NAMES, PRODUCT, PROXIES, ROUTERS

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
ROUNDS_MIN = 3
WIDTH = 120
TARGETS = (*PROXIES, *ROUTERS, PRODUCT)
NAMES_SHOWN = {"haproxy": "HAProxy", "envoy": "Envoy", "litellm": "LiteLLM", PRODUCT: "**Parvis**"}


class Language(NamedTuple):
    """A README, the text of its figures, its signs for thousands and decimals, and what it calls some units."""

    file: str
    text: str
    thousands: str = ","
    decimals: str = "."
    units: tuple[tuple[str, str], ...] = ()


ENGLISH = Language("README.md", "speed.md")
FRENCH = Language("README.fr.md", "speed.fr.md", "\u202f", ",", ((" MB", " Mo"), (" cores", " cœurs")))


def complete(measured: Measured) -> bool:
    """Whether nothing was left out of the run, so that its figures may be shown."""
    rounds = len(measured.rounds(PRODUCT, "sat"))
    return set(NAMES) <= set(measured.targets) and set(PHASES) <= set(measured.phases) and rounds >= ROUNDS_MIN


def cells(measured: Measured, name: str) -> list[str]:
    """One line of the table, in English figures."""
    first = [measured.added(name, "starts", f"first_event_us_p{percent}").text(2, MS) for percent in (50, 99)]
    rest = measured.steady(name, "sat", "rss_idle_mib").times(MB_PER_MIB)
    return [
        measured.least(name, "sat", CPU_ANSWER).text(1),
        measured.ratio(name, "sat", CPU_ANSWER).text(2),
        measured.median(name, "sat", "requests_per_s").text(),
        measured.least(name, "sse500", CPU_EVENT).text(1),
        measured.ratio(name, "sse500", CPU_EVENT).text(2),
        "-" if first == ["-", "-"] else f"+ {' / '.join(first)}",
        "-" if rest.value is None else f"{rest.text()} MB",
    ]


def block(measured: Measured, page: str, language: Language) -> str:
    """What stands between the marks."""
    lines = [
        [NAMES_SHOWN.get(name, name), *(written(cell, language) for cell in cells(measured, name))]
        for name in TARGETS
        if name in measured.targets
    ]
    conditions = next(dict(row) for row in measured.conditions if "gateways" in row.get("parts", ["gateways"]))
    conditions["processor"] = written(conditions["processor"], language, figures=False)
    found = [verdict.word for verdict in verdicts(measured)]
    said = {
        "rows": "\n".join(f"| {' | '.join(line)} |" for line in lines),
        "page": page,
        "met": found.count("met"),
        "missed": found.count("missed"),
        "unknown": found.count("not measured"),
    }
    filled = (BENCH / "texts" / language.text).read_text().strip().format_map({**conditions, **said})
    return "\n\n".join(part if part.startswith("|") else wrapped(part) for part in filled.split("\n\n"))


def written(text: str, language: Language, *, figures: bool = True) -> str:
    """Figures and units as this language writes them."""
    for english, own in language.units:
        text = text.replace(english, own)
    signs = {ord(","): language.thousands, ord("."): language.decimals}
    return text.translate(signs) if figures else text


def wrapped(paragraph: str) -> str:
    """In lines that fit; a French sign stays with the word before it."""
    bound = re.sub(r" ([;:])", "\0\\1", paragraph)
    lines = textwrap.fill(bound, WIDTH, break_long_words=False, break_on_hyphens=False)
    return lines.replace("\0", " ")


def rendered(results: Path) -> dict[Path, str]:
    """Both files as they should be, from this results file."""
    measured, files = read(results), {}
    for language in (ENGLISH, FRENCH):
        path = BENCH.parent / language.file
        before, _, rest = path.read_text().partition(f"{BEGIN}\n")
        _, _, after = rest.partition(f"\n{END}")
        fresh = block(measured, f"{results.stem}.md", language)
        files[path] = f"{before}{BEGIN}\n{fresh}\n{END}{after}"
    return files


def write(results: Path) -> None:
    """Bring both files up to date."""
    for path, text in rendered(results).items():
        path.write_text(text)


def other(results: Path) -> list[str]:
    """The files that say something else than this results file."""
    return [path.name for path, text in rendered(results).items() if path.read_text() != text]


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(f"not what the bench writes: {', '.join(found)}" if (found := other(Path(sys.argv[1]))) else 0)
    write(Path(sys.argv[1]))
