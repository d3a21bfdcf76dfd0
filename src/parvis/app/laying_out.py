"""How each engine of the settings is served here: what nobody has said is chosen for the machine, and said aloud."""

import asyncio
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from parvis.adapters.engines.gguf_head import Head, read_head
from parvis.adapters.engines.weights import WeightsMissing, locate, make_q8_0, q8_0_file
from parvis.domain.fleet.layout import Burden, Layout, Machine, Said, choose, told, told_of_gpus
from parvis.domain.fleet.replica import EngineKind
from parvis.settings import EngineSettings, Settings

_BUILTIN = "builtin:"
_TIMES_DISK = 3
"""So many times the weights must be free on the disk before they are made anew, twice to be used and one to spare."""


class LaidOut(NamedTuple):
    """Settings in which everything is said, and what was chosen for it by the name of the engine."""

    settings: Settings
    layouts: Mapping[str, Layout]


def lay_out(settings: Settings, machine: Machine) -> LaidOut:
    """Choose. The same machine and settings give the same. Weights that cannot be found are complained of later."""
    ours = {
        name: engine
        for name, engine in settings.engines.items()
        if engine.weights and engine.server is not EngineKind.SPEECH
    }
    share = machine.shared_by(sum(not engine.embedding for engine in ours.values()))
    cache = settings.home / "cache"
    layouts = {name: choose(share, burden_of(engine, cache), said_of(engine)) for name, engine in ours.items()}
    engines = {name: _told(engine, layouts.get(name)) for name, engine in settings.engines.items()}
    return LaidOut(replace(settings, engines=engines), layouts)


def say_layouts(laid: LaidOut, machine: Machine, say: Callable[[str], None]) -> None:
    """One line for each engine, and one where there is a GPU that would lie idle."""
    for name, layout in laid.layouts.items():
        say(f"{name}: {told(layout, machine)}")
    if laid.layouts and (hint := told_of_gpus(machine)):
        say(hint)


async def make_weights(settings: Settings, say: Callable[[str], None]) -> None:
    """Make the Q8_0 weights that are wanted and not there yet. Where that fails, they are served as they are."""
    cache = settings.home / "cache"
    for name, engine in settings.engines.items():
        if engine.weights and engine.requantise:
            await asyncio.to_thread(_make, name, engine, cache, say)


def said_of(engine: EngineSettings) -> Said:
    """What the operator has said of it."""
    return Said(engine.kind, engine.replicas, engine.threads, engine.parallel, engine.requantise)


def burden_of(engine: EngineSettings, cache: Path) -> Burden:
    """What it is to serve, from the head of its file."""
    size, head = _looked_at(engine.weights, cache, embedding=engine.embedding)
    return Burden(
        size,
        engine.context_tokens,
        engine.embedding,
        head.architecture,
        head.quantisation,
        head.cache_token_bytes,
    )


def _looked_at(reference: str, cache: Path, *, embedding: bool) -> tuple[int, Head]:
    if embedding and reference.startswith(_BUILTIN):
        return 0, Head()  # to find it may be to convert it, and nothing is chosen by it
    try:
        path = locate(reference, cache)
        return path.stat().st_size, read_head(path)
    except (WeightsMissing, OSError):
        return 0, Head()


def _told(engine: EngineSettings, layout: Layout | None) -> EngineSettings:
    if engine.server is EngineKind.SPEECH:  # one sound after the other: it computes, and nothing is shared in a batch
        one = {name: getattr(engine, name) or 1 for name in ("replicas", "threads", "parallel")}
        return replace(engine, **one)
    if layout is None:
        return replace(engine, kind=engine.server)
    return replace(
        engine,
        kind=layout.kind,
        replicas=layout.replicas,
        threads=layout.threads,
        parallel=layout.parallel,
        requantise=layout.requantise,
    )


def _make(name: str, engine: EngineSettings, cache: Path, say: Callable[[str], None]) -> None:
    try:
        weights = locate(engine.weights, cache)
        if q8_0_file(weights, cache).exists():
            return
        cache.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(cache).free < _TIMES_DISK * weights.stat().st_size:
            say(f"{name}: the disk has no room for Q8_0 weights, so they are served as they are, which is slower.")
            return
        say(f"{name}: making Q8_0 weights once, which are faster ...")
        make_q8_0(weights, cache)
    except (WeightsMissing, OSError) as problem:
        say(f"{name}: Q8_0 weights cannot be made ({problem}), so they are served as they are.")
