"""Which layouts are worth a trial on a machine, and which of those that were tried is the best. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from parvis.domain.fleet.layout import Burden, Layout, Machine, Said, choose, fits
from parvis.domain.fleet.replica import EngineKind

ALIKE = 0.9
"""Who has so much of the most tokens is as good, and then the earlier first token counts: figures vary as much."""


class Figure(NamedTuple):
    """What was seen with so many streams at once."""

    streams: int
    tokens_per_s: float
    """Generated, of all streams together."""
    first_p50_ms: float
    """To the first token; a request that had none when the time was over counts with the time it had waited."""
    first_p95_ms: float
    failed: int = 0
    """Requests that the engine refused or broke off."""


def candidates(machine: Machine, burden: Burden) -> dict[str, Layout]:
    """By their names, the layouts that can serve it: llama.cpp always, OpenVINO where it would be chosen."""
    llama = Said(EngineKind.LLAMA_CPP, requantise=False)
    found = {"llama.cpp": choose(machine, burden, llama)}
    faster = choose(machine, burden, Said(EngineKind.LLAMA_CPP))
    if faster.requantise:
        found["llama.cpp Q8_0"] = faster
    if choose(machine, burden).kind is EngineKind.OPENVINO:
        kind, cores = Said(EngineKind.OPENVINO), machine.cores
        for replicas in sorted({1, max(1, cores // 2), cores}):
            layout = choose(machine, burden, kind._replace(replicas=replicas, threads=max(1, cores // replicas)))
            if fits(layout, machine, burden):
                found[f"OpenVINO {layout.replicas} x {layout.threads}"] = layout
    return {name: replace(layout, why="`parvis bench engine` measured it") for name, layout in found.items()}


def best(tried: Mapping[str, Sequence[Figure]]) -> str:
    """The name of the one with the most tokens a second at the most streams; among those alike, the earliest.

    Who failed is out, unless all did. Raises ValueError when nothing was tried.
    """
    last = {name: figures[-1] for name, figures in tried.items() if figures}
    sound = {name: figure for name, figure in last.items() if not any(one.failed for one in tried[name])} or last
    if not sound:
        raise ValueError("nothing was tried")
    most = max(figure.tokens_per_s for figure in sound.values())
    alike = {name: figure for name, figure in sound.items() if figure.tokens_per_s >= ALIKE * most}
    return min(alike, key=lambda name: (alike[name].first_p50_ms, -alike[name].tokens_per_s))


def percentile(values: Sequence[float], percent: int) -> float:
    """The nearest rank; 0.0 of nothing."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)] if ranked else 0.0
