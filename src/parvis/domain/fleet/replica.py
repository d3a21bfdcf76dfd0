"""Engines as the settings declare them, and the replicas that run."""

from dataclasses import dataclass
from enum import StrEnum


class EngineKind(StrEnum):
    """Which server answers; each has its own habits (see `profile`)."""

    LLAMA_CPP = "llama.cpp"
    VLLM = "vllm"
    OPENAI = "openai"


class ReplicaState(StrEnum):
    """Whether a replica takes requests."""

    STARTING = "starting"
    READY = "ready"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Replica:
    """A running server that answers for one engine of the settings. `api_key` is what it demands of us."""

    replica_id: str
    engine: str
    kind: EngineKind
    address: str
    state: ReplicaState
    api_key: str = ""
    weight: int = 1
