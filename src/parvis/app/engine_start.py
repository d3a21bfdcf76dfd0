"""How an engine process of this machine is started, whoever wants it: the settings or a deployment."""

import asyncio
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from parvis.adapters.engines.weights import locate, q8_0_file
from parvis.adapters.speech import weights as speech
from parvis.app.crew import Child, Crew, Word
from parvis.core.errors import Misconfigured
from parvis.domain.fleet.replica import EngineKind

_CHILDREN = {
    EngineKind.LLAMA_CPP: "parvis.adapters.engines.llama_child",
    EngineKind.OPENVINO: "parvis.adapters.openvino.child",
    EngineKind.SPEECH: "parvis.adapters.speech.child",
}


class EngineWork(NamedTuple):
    """What one process is to serve."""

    weights: str
    alias: str
    embedding: bool
    parallel: int
    context_tokens: int
    threads: int
    kind: EngineKind = EngineKind.LLAMA_CPP
    number: int = 0
    """Which of the replicas beside each other: it decides about the cores that OpenVINO's keep to."""
    requantise: bool = False
    """Load the Q8_0 form of the weights, where it has been made."""


class Started(NamedTuple):
    """A process that would answer at once."""

    child: Child
    address: str
    api_key: str


async def start_engine(crew: Crew, cache: Path, work: EngineWork) -> Started:
    """Load weights and wait until they serve. Raises Misconfigured with the reason; nothing is left running then."""
    if work.kind is EngineKind.OPENVINO and work.embedding:
        raise Misconfigured("OpenVINO serves chats here. Let llama.cpp serve embeddings (kind = 'llama.cpp').")
    weights = await asyncio.to_thread(find_weights, work.kind, work.weights, cache)
    if work.requantise and (faster := q8_0_file(weights, cache)).exists():
        weights = faster
    api_key = secrets.token_hex(16)
    spec: Word = {
        "weights": str(weights),
        "alias": work.alias,
        "kind": "embedding" if work.embedding else "chat",
        "parallel": work.parallel,
        "context": work.context_tokens,
        "threads": work.threads,
        "api_key": api_key,
    }
    if work.kind is EngineKind.SPEECH:
        del spec["context"]
        spec["kind"] = speech.task_of(weights)
    if work.kind is EngineKind.OPENVINO:
        spec |= {"cache": str(cache), "cores": own_cores(work.number, work.threads, usable_cores())}
    child, word = await crew.start(_CHILDREN[work.kind], first=spec)
    return Started(child, word["address"], api_key)


def find_weights(kind: EngineKind, reference: str, cache: Path) -> Path:
    """The files that a reference means to this kind of engine. Blocks for seconds at most. Raises Misconfigured."""
    return speech.locate(reference, cache) if kind is EngineKind.SPEECH else locate(reference, cache)


def own_cores(number: int, threads: int, usable: Sequence[int]) -> list[int]:
    """Those that replica `number` keeps to: the next `threads` of them, from the first on again where they run out.

    None where it needs all of them. Two replicas that wander halve each other's speed.
    """
    if threads >= len(usable):
        return []
    return sorted(usable[(number * threads + place) % len(usable)] for place in range(threads))


def usable_cores() -> list[int]:
    """Of this process, in their order; empty where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
