"""What the routes of deployments and replicas answer."""

from typing import Literal

from parvis.api.web.answers import Shape
from parvis.domain.fleet.deployment import DeploymentState, LoadPolicy, SizeClass, Source
from parvis.domain.fleet.replica import CacheSharing, EngineKind, ReplicaState


class ServerAddress(Shape):
    """Where a server listens; one of twice the weight takes twice as much."""

    url: str
    weight: int


class DeploymentShown(Shape):
    """What somebody wants to run for a pool. `ready` of its replicas take requests now."""

    object: Literal["deployment"]
    id: str
    from_settings: bool
    """It is an engine of `parvis.toml`, and changes there alone."""
    pool: str
    source: Source
    kind: EngineKind
    addresses: list[ServerAddress]
    weights: str
    replicas: int
    replicas_max: int
    gpus: int
    parallel: int
    context_tokens: int
    threads: int
    embedding: bool
    model: str
    engine_model: str
    api_key_file: str
    tls_ca: str
    tls_cert: str
    tls_key: str
    tls_min: str
    cache: CacheSharing
    size_class: SizeClass
    slots: int
    weight: int
    cost: int
    load: LoadPolicy
    idle_s: int
    state: DeploymentState
    generation: int
    ready: int
    why: str
    """Of the first replica that is not ready, in the caller's language."""
    why_code: str
    """Stays the same whatever the wording; empty where there is none."""
    why_facts: dict[str, str]
    """What the sentence quotes."""


class DeploymentRemoved(Shape):
    """It is no more; what runs on its replicas finishes."""

    object: Literal["deployment"]
    id: str
    deleted: bool


class ReplicaShown(Shape):
    """One running server of a pool. `state` is what operator and machine say; `seen` what gateways find."""

    object: Literal["replica"]
    id: str
    deployment_id: str | None
    pool: str
    node_id: str | None
    """The machine, where it is known and is not control's own."""
    kind: EngineKind
    address: str | None
    """None while it starts or sleeps."""
    state: ReplicaState
    why: str
    """Why it is in its state, or why gateways do not ask it, in the caller's language."""
    why_code: str
    """Stays the same whatever the wording; empty where there is none."""
    why_facts: dict[str, str]
    """What the sentence quotes."""
    seen: Literal["open", "partly", "closed", "returning", "unseen"]
    """`partly`: by some gateways; `returning`: it takes ever more after it healed."""
    gateways: int
    in_flight: int
    slots: int
    """Requests side by side at which it is fastest; 0: nobody said."""
    weight: int
    cost: int
    pace: float
    first_byte_ms: int
    """Lately, on average; 0 while nobody knows."""


class ReplicaMarked(Shape):
    """What was said of it. Gateways know within a second."""

    object: Literal["replica"]
    id: str
    marked: Literal["ready", "cordoned", "draining"]
