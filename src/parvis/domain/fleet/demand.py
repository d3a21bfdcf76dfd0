"""Which deployments are loaded now: those that always are, and those of `on-demand` that somebody has asked for lately.

Who sleeps is woken by the first request that waits for its pool. Who was asked for nothing for `idle_s` seconds sleeps
again. Pure: times, in seconds of one clock, come with each call.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from parvis.domain.fleet.deployment import Deployment, LoadPolicy
from parvis.domain.fleet.replica import Replica, ReplicaState

SLEEPS = "It is loaded when somebody asks for it."


def sleeper_id(deployment_id: str) -> str:
    """Of the replica that stands for a deployment which sleeps. No process ever has it."""
    return f"{deployment_id}-asleep"


class Demand:
    """When each deployment of `on-demand` was asked for last."""

    def __init__(self) -> None:
        self._asked_s: dict[str, float | None] = {}
        """None: it sleeps."""

    def know(self, deployments: Iterable[Deployment], running: Collection[str], now_s: float) -> None:
        """These are all. One that is new to us is awake if something of it runs, by id, and its time begins now."""
        on_demand = (one.deployment_id for one in deployments if one.load is LoadPolicy.ON_DEMAND)
        self._asked_s = {one: self._asked_s.get(one, now_s if one in running else None) for one in on_demand}

    def asked(self, deployment_ids: Iterable[str], now_s: float) -> None:
        """Somebody waits for these: who sleeps wakes."""
        for one in self._asked_s.keys() & set(deployment_ids):
            self._asked_s[one] = now_s

    def used(self, deployment_ids: Iterable[str], now_s: float) -> None:
        """Somebody was answered by these, or they are being loaded: who is awake stays so."""
        self.asked((one for one in deployment_ids if self._asked_s.get(one) is not None), now_s)

    def rest(self, deployments: Iterable[Deployment], now_s: float) -> None:
        """Who was not asked for long enough sleeps from now on."""
        for one in deployments:
            asked_s = self._asked_s.get(one.deployment_id)
            if asked_s is not None and now_s - asked_s >= one.idle_s:
                self._asked_s[one.deployment_id] = None

    def loaded(self, deployment: Deployment) -> Deployment:
        """As it shall run now: who sleeps has no replica."""
        pinned = deployment.load is not LoadPolicy.ON_DEMAND
        awake = pinned or self._asked_s.get(deployment.deployment_id) is not None
        return deployment if awake else replace(deployment, replicas=0)


def can_serve(replica: Replica) -> bool:
    """Whether it takes requests, or is loaded when they come."""
    return replica.state is ReplicaState.READY or (replica.state is ReplicaState.ASLEEP and not replica.failed)


def sleeper(deployment: Deployment, runs: Sequence[Replica]) -> Replica | None:
    """What stands for a deployment of which no replica is ready and that can be woken; None where there is no need.

    `runs` are its own. While each of them fails to start, it has failed too: nobody need wait for it.
    """
    if deployment.load is not LoadPolicy.ON_DEMAND or not deployment.serves or not deployment.replicas:
        return None
    if any(one.state is ReplicaState.READY for one in runs):
        return None
    loading = [one for one in runs if one.state is ReplicaState.STARTING]
    failed = bool(loading) and all(one.failed for one in loading)
    return Replica(
        sleeper_id(deployment.deployment_id),
        deployment.pool,
        deployment.kind,
        "",
        ReplicaState.ASLEEP,
        deployment_id=deployment.deployment_id,
        why=loading[0].why if loading else SLEEPS,
        failed=failed,
    )
