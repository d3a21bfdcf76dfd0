"""Engines as the settings declare them, and the replicas that run."""

from dataclasses import dataclass
from enum import StrEnum


class EngineKind(StrEnum):
    """Which server answers; each has its own habits (see `profile`)."""

    LLAMA_CPP = "llama.cpp"
    OPENVINO = "openvino"
    VLLM = "vllm"
    SGLANG = "sglang"
    TGI = "tgi"
    OLLAMA = "ollama"
    OPENAI = "openai"
    SPEECH = "speech"
    """Hears or speaks: one set of weights does one of the two."""


class CacheSharing(StrEnum):
    """Whose prompts a request may find in an engine's prefix cache, as the operator declares it."""

    TENANT = "tenant"
    """Those of its own tenant."""
    SHARED = "shared"
    """Everybody's: the operator has declared that tenants may learn of each other's prompts."""
    OFF = "off"
    """Nobody's. Where no request can say so, the operator has switched the cache off at the server."""


class ReplicaState(StrEnum):
    """What the operator and the machine say of a replica. Whether it answers well, each gateway sees for itself."""

    ASLEEP = "asleep"
    """Nothing runs: it stands for replicas that are loaded when somebody asks. See `demand`."""
    STARTING = "starting"
    READY = "ready"
    CORDONED = "cordoned"
    """It takes nothing new, and stays."""
    DRAINING = "draining"
    """It takes nothing new, and ends when nothing runs on it any more."""
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
    """A running server of a pool. `api_key` is what it demands of us."""

    replica_id: str
    engine: str
    """Its pool: the name by which models ask for it (`Model.engine`)."""
    kind: EngineKind
    address: str
    state: ReplicaState
    api_key: str = ""
    weight: int = 1
    tls: TlsFiles | None = None
    """Of an `https://` address."""
    slots: int = 0
    """Requests side by side at which it is fastest; more wait in our queue. 0: nobody said, so nothing waits for it."""
    deployment_id: str = ""
    """What wanted it; empty for one of the settings."""
    node_id: str = ""
    """The machine that it runs on, where we know it; empty: the one where control is, or an address of anywhere."""
    cost: int = 0
    """How dear it is beside others of its pool, in units of the operator's own."""
    why: str = ""
    """Why it is in its state, for people."""
    cache: CacheSharing = CacheSharing.TENANT
    failed: bool = False
    """It was tried to start it, in vain; it is tried again."""
