"""What the operator wants to run for a pool, and which replicas come of it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from parvis.domain.fleet.replica import CacheSharing, EngineKind, Replica, ReplicaState, TlsFiles

REPLICAS_MAX: Final = 64
IDLE_S_MIN, IDLE_S_MAX = 10, 86_400
SUFFIX_LETTERS: Final = "bcdfghjkmnpqrstvwxz"
SUFFIX_CHARS: Final = 5
"""Of the last part of a replica's id: no vowels, so no words; no digits, so never the id of a settings' engine."""


class Source(StrEnum):
    """Where the replicas of a deployment come from."""

    ADDRESSES = "addresses"
    """Servers that somebody else runs, one replica for each address."""
    HERE = "here"
    """Engine processes of the machine where control is."""
    RAY = "ray"
    """Ray Serve."""


class DeploymentState(StrEnum):
    """What the operator wants of a deployment as a whole."""

    SERVING = "serving"
    CORDONED = "cordoned"
    """It takes nothing new; what runs of it stays."""
    DRAINING = "draining"
    """It takes nothing new, and is stopped when nothing runs on it any more."""
    STOPPED = "stopped"


class LoadPolicy(StrEnum):
    """When the weights of engine processes are in memory."""

    PINNED = "pinned"
    """From the start on, always."""
    ON_DEMAND = "on-demand"
    """From the first request on, until nobody has asked for a while."""


class SizeClass(StrEnum):
    """How large its model is, as pools are named by it."""

    UNSAID = ""
    SMALL = "7-8B"
    MIDDLE = "13B"
    LARGE = "70B+"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens: `http://HOST:PORT`. One of twice the weight takes twice as much."""

    url: str
    weight: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One line of what is to run. Fields that its source has no use for keep their defaults."""

    deployment_id: str
    pool: str
    """What `Model.engine` names."""
    source: Source = Source.ADDRESSES
    kind: EngineKind = EngineKind.LLAMA_CPP
    addresses: tuple[Address, ...] = ()
    weights: str = ""
    """`builtin:NAME`, or the path of a GGUF file on the machine that serves it."""
    replicas: int = 1
    """Wanted; of addresses there are as many as addresses."""
    replicas_max: int = 0
    """Ray alone: under load it may become so many. 0: it is not scaled."""
    gpus: int = 0
    """Ray alone: of each replica."""
    parallel: int = 8
    """Requests that one engine process computes side by side."""
    context_tokens: int = 4096
    threads: int = 1
    embedding: bool = False
    model: str = ""
    """The catalogue id that it was made for; empty where that was not said."""
    engine_model: str = ""
    """What the server calls the model, when it is not `model`."""
    api_key_file: str = ""
    """Its name in the folder `engine-keys` of the data folder. What is in it is never kept."""
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    tls_min: str = "1.3"
    cache: CacheSharing = CacheSharing.TENANT
    size_class: SizeClass = SizeClass.UNSAID
    slots: int = 0
    """Requests side by side at which one replica is fastest. 0: of an engine process `parallel`, else without bound."""
    weight: int = 1
    cost: int = 0
    load: LoadPolicy = LoadPolicy.PINNED
    idle_s: int = 600
    """Of `on-demand`: after so many seconds in which nobody asked it is unloaded."""
    state: DeploymentState = DeploymentState.SERVING
    generation: int = 0
    """Grows with each restart that was asked for."""

    @property
    def alias(self) -> str:
        """What an engine process of ours calls its model."""
        return self.engine_model or self.model or self.deployment_id

    @property
    def recipe(self) -> tuple[object, ...]:
        """What a running engine process cannot change: of another recipe, it is replaced."""
        made_of = (
            self.kind,
            self.weights,
            self.alias,
            self.embedding,
            self.parallel,
            self.context_tokens,
            self.threads,
        )
        return (*made_of, self.gpus, self.generation)

    @property
    def serves(self) -> bool:
        """Whether anything of it is to run."""
        return self.state in (DeploymentState.SERVING, DeploymentState.CORDONED)

    @property
    def tls(self) -> TlsFiles | None:
        """For its `https://` addresses; None where it has none."""
        if not any(one.url.startswith("https:") for one in self.addresses):
            return None
        return TlsFiles(self.tls_ca, self.tls_cert, self.tls_key, self.tls_min)


class Wanted(NamedTuple):
    """All that operators want of the fleet, of one instant."""

    deployments: tuple[Deployment, ...] = ()
    """Sorted by id."""
    marks: Mapping[str, ReplicaState] = {}
    """What was said of single replicas, by their ids: `cordoned` or `draining`."""


def is_address(text: str) -> bool:
    """Whether it is like `http://HOST:PORT` or `https://HOST:PORT`, perhaps with a path."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    plain = text.isprintable() and " " not in text and not (parts.query or parts.fragment or parts.username)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0 and plain


def suffixed(deployment_id: str, seed: bytes) -> str:
    """The id of a replica: `chat-qxvbn`. The same seed gives the same."""
    digest = hashlib.sha256(seed).digest()[:SUFFIX_CHARS]
    return f"{deployment_id}-{''.join(SUFFIX_LETTERS[byte % len(SUFFIX_LETTERS)] for byte in digest)}"


def replicas_at_addresses(deployment: Deployment, api_key: str = "") -> tuple[Replica, ...]:
    """One for each address, known by it: another order, or another address beside it, changes none of them.

    They are taken as ready: who does not answer, gateways find out.
    """
    return tuple(
        Replica(
            suffixed(deployment.deployment_id, one.url.encode()),
            deployment.pool,
            deployment.kind,
            one.url,
            ReplicaState.READY,
            api_key,
            one.weight * deployment.weight,
            deployment.tls,
            deployment.slots,
            deployment.deployment_id,
            cost=deployment.cost,
            cache=deployment.cache,
        )
        for one in deployment.addresses
    )


def as_wanted(replica: Replica, deployments: Mapping[str, Deployment], marks: Mapping[str, ReplicaState]) -> Replica:
    """A replica as gateways shall see it: what the operator says of it and of its deployment holds at once.

    Of two states the one that keeps more away wins. One of a deployment that is no more is drained.
    """
    states = [replica.state, marks.get(replica.replica_id, ReplicaState.READY)]
    deployment = deployments.get(replica.deployment_id)
    if deployment is not None:
        states.append(_STATES[deployment.state])
        if deployment.source is not Source.ADDRESSES:
            replica = replace(
                replica,
                engine=deployment.pool,
                weight=deployment.weight,
                slots=deployment.slots or deployment.parallel,
                cost=deployment.cost,
                cache=deployment.cache,
            )
    elif replica.deployment_id:
        states.append(ReplicaState.DRAINING)
    strictest = max(states, key=_STRICTNESS.index)
    return replica if strictest is replica.state else replace(replica, state=strictest, why=_WHY[strictest])


_STRICTNESS = (
    ReplicaState.READY,
    ReplicaState.ASLEEP,
    ReplicaState.CORDONED,
    ReplicaState.STARTING,
    ReplicaState.DRAINING,
    ReplicaState.GONE,
)
_STATES = {
    DeploymentState.SERVING: ReplicaState.READY,
    DeploymentState.CORDONED: ReplicaState.CORDONED,
    DeploymentState.DRAINING: ReplicaState.DRAINING,
    DeploymentState.STOPPED: ReplicaState.DRAINING,
}
_WHY = {
    ReplicaState.CORDONED: "Cordoned by the operator.",
    ReplicaState.DRAINING: "Drained by the operator.",
}
