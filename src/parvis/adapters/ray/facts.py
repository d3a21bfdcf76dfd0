"""What a replica says of itself, as the registry carries it; and the replica that a gateway makes of it."""

from dataclasses import asdict, dataclass, fields

from parvis.adapters.ray.registry import Facts
from parvis.domain.fleet.deployment import Deployment
from parvis.domain.fleet.replica import Replica, ReplicaState, TlsFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaFacts:
    """Of one replica. `api_key` opens its door; who may use the cluster can read it."""

    deployment_id: str
    state: ReplicaState = ReplicaState.STARTING
    host: str = ""
    """The address of its node, where its door listens."""
    port: int = 0
    api_key: str = ""
    request: str = ""
    """For a certificate of that address (PEM)."""

    def said(self) -> Facts:
        """As plain values, which every release can read."""
        return {**asdict(self), "state": self.state.value}


def read_facts(said: Facts) -> ReplicaFacts:
    """The other way; what another release says beyond it is passed over."""
    known = {field.name for field in fields(ReplicaFacts)}
    facts = ReplicaFacts(**{name: value for name, value in said.items() if name in known})
    return ReplicaFacts(**{**asdict(facts), "state": ReplicaState(facts.state)})


def as_replica(replica_id: str, facts: ReplicaFacts, deployment: Deployment, authority: str) -> Replica:
    """For gateways; `authority` is the file of who signs the doors' certificates. Without a door it has no address."""
    host = f"[{facts.host}]" if ":" in facts.host else facts.host
    return Replica(
        replica_id,
        deployment.pool,
        deployment.kind,
        f"https://{host}:{facts.port}" if facts.port else "",
        facts.state,
        facts.api_key,
        deployment.weight,
        TlsFiles(authority),
        deployment.slots or deployment.parallel,
        deployment.deployment_id,
        facts.host,
        deployment.cost,
        _WHY.get(facts.state, ""),
    )


_WHY = {
    ReplicaState.STARTING: "Ray has placed it; its weights are being loaded.",
    ReplicaState.DRAINING: "Ray ends it when its last answer has ended.",
}
