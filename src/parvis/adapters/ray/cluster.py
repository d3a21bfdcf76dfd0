"""The driver's side of a Ray cluster: what runs there for us, and which replicas have registered. Every call blocks."""

import hashlib
import logging
from collections.abc import Iterable
from typing import Any

import msgspec
import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy, ProxyLocation
from ray.serve.exceptions import RayServeException

from parvis.adapters.ray.facts import ReplicaFacts, read_facts
from parvis.adapters.ray.place import NAMESPACE
from parvis.adapters.ray.registry import ROOM, Registry
from parvis.adapters.ray.scaling import BUSY_SHARE, DOWN_S, LOOK_S, UP_S, replicas_wanted
from parvis.core.errors import Unavailable
from parvis.domain.fleet.deployment import Deployment

ASK_S_MAX = 5.0
HEALTH_PERIOD_S = 1.0
HEALTH_S_MAX = 10.0
DRAIN_S_MAX = 600.0
"""How long a replica that Ray ends may take for what runs on it."""
SPARE_PERCENT = 1
"""Of the replicas, at least one: a changed deployment gets a new one before it loses an old one."""
_TROUBLE = (RayError, RayServeException, ConnectionError, RuntimeError, TimeoutError)


class RayCluster:
    """A connection to somebody's cluster. `name` marks what is ours there."""

    def __init__(self, address: str, name: str, replica_class: type) -> None:
        self._address = address
        self._name = name
        self._replica_class = replica_class

    def connect(self) -> None:
        """Raises Unavailable with Ray's own reason."""
        for chatty in ("ray", "ray.serve"):
            logging.getLogger(chatty).setLevel(logging.ERROR)
        try:
            ray.init(self._address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False)
            serve.start(proxy_location=ProxyLocation.Disabled)
            self._registry = (
                ray.remote(Registry)
                .options(name=self.registry, lifetime="detached", max_restarts=-1, num_cpus=0, get_if_exists=True)
                .remote()
            )
        except _TROUBLE as problem:
            raise Unavailable(f"The Ray cluster at {self._address} cannot be used: {_first_line(problem)}") from None

    @property
    def registry(self) -> str:
        """The name of the actor that replicas look for."""
        return f"{self._name}.{ROOM}"

    def make_so(self, wanted: Iterable[Deployment]) -> None:
        """What is wanted runs, and nothing else of ours: what is new is started, what has changed is replaced.

        What runs as it is wanted is left alone, whoever started it. Raises Unavailable.
        """
        apps = {f"{self._name}.{one.deployment_id}": one for one in wanted}
        try:
            for name in serve.status().applications:
                if name.startswith(f"{self._name}.") and name not in apps:
                    serve.delete(name, _blocking=False)
            if apps:
                targets = [serve.RunTarget(self._application(one), name, None) for name, one in apps.items()]
                serve.run_many(targets, wait_for_applications_running=False)
        except _TROUBLE as problem:
            raise Unavailable(f"Ray refuses the deployments: {_first_line(problem)}") from None

    def living(self) -> dict[str, ReplicaFacts] | None:
        """All replicas that live, ready or not; None while the registry is too young to know. Raises Unavailable."""
        try:
            living = ray.get(self._registry.living.remote(), timeout=ASK_S_MAX)
        except _TROUBLE as problem:
            raise Unavailable(f"Ray does not tell who lives: {_first_line(problem)}") from None
        return None if living is None else {name: read_facts(said) for name, said in living.items()}

    def certify(self, replica_id: str, certificate: bytes) -> None:
        """Give a replica what it asked for. It is not waited for: who does not get it asks again."""
        self._registry.certify.remote(replica_id, certificate.decode())

    def _application(self, deployment: Deployment) -> Any:
        """A deployment as Ray Serve wants it."""
        options: dict[str, Any] = {
            "ray_actor_options": {"num_cpus": deployment.threads, "num_gpus": deployment.gpus},
            "health_check_period_s": HEALTH_PERIOD_S,
            "health_check_timeout_s": HEALTH_S_MAX,
            "graceful_shutdown_timeout_s": DRAIN_S_MAX,
            "max_surge_percent": SPARE_PERCENT,
        }
        if deployment.replicas_max > deployment.replicas:
            options["autoscaling_config"] = _autoscaling(deployment)
        else:
            options["num_replicas"] = deployment.replicas
        made = serve.deployment(self._replica_class, name="engine", **options)
        # Without a version of ours each start of a driver would replace every replica, though nothing has changed.
        made = made.options(version=version_of(deployment), _internal=True)
        return made.bind(msgspec.to_builtins(deployment), self.registry)


def version_of(deployment: Deployment) -> str:
    """Of another version, replicas are replaced; how many there are is none of it."""
    return hashlib.sha256(repr((deployment.kind.value, deployment.recipe)).encode()).hexdigest()[:16]


def _autoscaling(deployment: Deployment) -> AutoscalingConfig:
    return AutoscalingConfig(
        min_replicas=deployment.replicas,
        max_replicas=deployment.replicas_max,
        target_ongoing_requests=max(1.0, BUSY_SHARE * (deployment.slots or deployment.parallel)),
        metrics_interval_s=LOOK_S,
        upscale_delay_s=UP_S,
        downscale_delay_s=DOWN_S,
        policy=AutoscalingPolicy(policy_function=replicas_wanted),
    )


def _first_line(problem: BaseException) -> str:
    return str(problem).strip().partition("\n")[0] or type(problem).__name__
