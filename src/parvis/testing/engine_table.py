"""Which kind of engine keeps which promise, as a table for the documents: made from what the tests expect.

    python -m parvis.testing.engine_table docs/reference/engines.md

It says of each promise whether it was shown on the real server, only on the fake that plays it, or why it is not kept.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from parvis.domain.fleet.replica import EngineKind
from parvis.testing import engine_servers as servers
from parvis.testing.counting_suite import COUNTING_PROMISES
from parvis.testing.embedding_suite import EMBEDDING_PROMISES
from parvis.testing.engine_suite import GAPS, LAST_PROMISES, PROMISES, Gaps, Promise
from parvis.testing.fake_engine.flavours import Flavour
from parvis.testing.sameness_suite import SAMENESS_PROMISES

BEGIN, END = "<!-- promises: begin -->\n", "<!-- promises: end -->\n"
GROUPS: Mapping[str, tuple[Promise, ...]] = {
    "Answers, tools, refusals": PROMISES,
    "The same from all": SAMENESS_PROMISES,
    "Counts": COUNTING_PROMISES,
    "Engines that die": LAST_PROMISES,
    "Embeddings": EMBEDDING_PROMISES,
}


class Played(NamedTuple):
    """A flavour of the fake behind a kind, and what it cannot show."""

    flavour: Flavour
    gaps: Gaps


PLAYED: Mapping[EngineKind, Played] = {
    EngineKind.VLLM: Played("vllm", servers.FAKE_GAPS),
    EngineKind.LLAMA_CPP: Played("llamacpp", servers.FAKE_LLAMA_GAPS),
    EngineKind.SGLANG: Played("sglang", servers.FAKE_GAPS),
    EngineKind.TGI: Played("tgi", servers.FAKE_TGI_GAPS),
    EngineKind.OLLAMA: Played("ollama", servers.FAKE_OLLAMA_GAPS),
    EngineKind.OPENAI: Played("plain", servers.FAKE_GAPS),
}
RUN: Mapping[EngineKind, Gaps] = {
    EngineKind.LLAMA_CPP: servers.LLAMA_GAPS,
    EngineKind.OPENVINO: {**dict.fromkeys(EMBEDDING_PROMISES, "it serves models that chat"), **servers.OPENVINO_GAPS},
    EngineKind.OPENAI: servers.LLAMA_BY_ADDRESS_GAPS,
}
"""What was run for real: the embedded llama.cpp and OpenVINO, and llama.cpp by its address."""


def gap_of(kind: EngineKind, promise: Promise, gaps: Gaps) -> str:
    """Why it is not kept there; empty when it is."""
    return {**GAPS.get(kind, {}), **gaps}.get(promise, "")


def sentence(promise: Promise) -> str:
    """A promise is called what it promises."""
    return promise.__name__.replace("_", " ")


class Notes:
    """Reasons, each with its number."""

    def __init__(self) -> None:
        self.reasons: dict[str, int] = {}

    def of(self, reason: str) -> str:
        return f"[{self.reasons.setdefault(reason, len(self.reasons) + 1)}]"

    def lines(self) -> list[str]:
        return [f"{number}. {reason}." for reason, number in self.reasons.items()]


def cell(kind: EngineKind, promise: Promise, notes: Notes) -> str:
    """`run`, `played`, or the number of the reason."""
    run = gap_of(kind, promise, RUN[kind]) if kind in RUN else None
    played = gap_of(kind, promise, PLAYED[kind].gaps) if kind in PLAYED else None
    if run == "":
        return "run"
    if played == "":
        return "played"
    return notes.of(run or played or "nobody showed it")


def table() -> str:
    """The whole section, in Markdown."""
    notes = Notes()
    kinds = [kind for kind in EngineKind if kind in RUN or kind in PLAYED]
    lines = [f"| promise | {' | '.join(f'`{kind}`' for kind in kinds)} |", "| --- |" + " --- |" * len(kinds)]
    for group, promises in GROUPS.items():
        lines.append(f"| **{group}** |" + " |" * len(kinds))
        lines += [f"| {sentence(one)} | {' | '.join(cell(kind, one, notes) for kind in kinds)} |" for one in promises]
    return "\n".join([*lines, "", *notes.lines(), ""])


def renewed(page: str) -> str:
    """The page with the table as it is now. Raises ValueError for a page without a place for it."""
    before, begin, rest = page.partition(BEGIN)
    _, end, behind = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"The page has no lines {BEGIN.strip()} and {END.strip()} for the table.")
    return f"{before}{BEGIN}\n{table()}\n{END}{behind}"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(renewed(target.read_text()))
