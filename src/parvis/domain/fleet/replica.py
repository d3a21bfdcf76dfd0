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
class TlsFiles:
    """How to speak TLS with an engine: paths of PEM files on the gateway's own machine, never what is in them."""

    authority: str = ""
    """Who must have signed the engine's certificate; empty: whom this machine trusts."""
    certificate: str = ""
    key: str = ""
    """With `certificate`: how the gateway proves who it is; empty where the engine does not ask."""
    version_min: str = "1.3"
    """The oldest version of TLS that is spoken: `1.2` or `1.3`."""


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
    tls: TlsFiles | None = None
    """Of an `https://` address."""
