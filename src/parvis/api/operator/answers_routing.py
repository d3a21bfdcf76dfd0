"""What the operator is shown of how gateways route, and of the fleet as they see it."""

from typing import Literal

from parvis.api.web.answers import Chosen, Money, Shape


class RoutedCandidate(Shape):
    """A replica of the pool. `filtered`: why it could not take the request. Scores and total are 0 to 1."""

    replica_id: str
    filtered: str
    load: float
    prefix: float
    latency: float
    weight: float
    cost: float
    total: float


class RouteWeights(Shape):
    """How much each score counts, and up to which load and fill affinity does."""

    load: float
    prefix: float
    latency: float
    weight: float
    cost: float
    affinity_load_max: float
    affinity_fill: float


class Decision(Shape):
    """One decision of a gateway. `picked` is empty where nobody could take it. Reasons are in the caller's language."""

    object: Literal["route"]
    request_id: str
    gateway: str
    pool: str
    picked: str
    why: str
    candidates: list[RoutedCandidate]
    weights: RouteWeights


class SupposedRoute(Shape):
    """Where a request would go now: its model, and what each gateway would decide. `chosen`: by an `auto` entry."""

    object: Literal["route.supposed"]
    model: str
    chosen: Chosen | None
    routes: list[Decision]


class FleetReplica(Shape):
    """One replica. Slots of 0: nobody said.

    `state` is that of operator and machine (`asleep`, `starting`, `cordoned`, `draining`, `gone`); of one that is
    ready, how gateways see it (`open`, `partly`, `returning`, `closed`, `unseen`).
    """

    replica_id: str
    state: str
    why: str
    """In the caller's language."""
    why_code: str
    """Stays the same whatever the wording; empty where there is none."""
    why_facts: dict[str, str]
    """What the sentence quotes."""
    since: str
    in_flight: int
    slots: int
    tokens_per_s: float
    first_byte_ms: int


class FleetPool(Shape):
    """A pool, how many of its replicas take requests, and what waits for them at all gateways.

    Its tokens are those of replicas that have gone since, too.
    """

    object: Literal["pool"]
    pool: str
    open: int
    in_flight: int
    slots: int
    waiting: int
    tokens_per_s: float
    replicas: list[FleetReplica]


class FleetTalker(Shape):
    """A tenant, by what of its ended lately, and what an hour like this costs."""

    tenant_id: str
    requests_per_s: float
    tokens_per_s: float
    per_hour: Money


class Fleet(Shape):
    """The fleet of this moment. Rates are of requests that ended within the last `span_ms`."""

    object: Literal["fleet"]
    at: str
    gateways: list[str]
    span_ms: int
    requests_per_s: float
    tokens_per_s: float
    per_hour: Money
    pools: list[FleetPool]
    talkers: list[FleetTalker]
