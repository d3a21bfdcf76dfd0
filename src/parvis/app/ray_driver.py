"""The driver of a Ray cluster: what is wanted there runs there, and who lives there is told.

    python -m parvis.app.ray_driver

A process of its own: Ray brings 100 MB of libraries and threads, and ends who uses it when its cluster is lost. When
this one ends, what runs on the cluster stays; the next one finds it.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding

from parvis.adapters.certificates.authority import (
    AUTHORITY_DAYS,
    Identity,
    server_names,
    sign_server_request,
)
from parvis.adapters.ray.cluster import RayCluster
from parvis.adapters.ray.facts import ReplicaFacts, as_replica
from parvis.adapters.telemetry.logs import log_to_stderr
from parvis.app.child import Parent, Word, die_with_parent, first_word, print_to_the_log, report
from parvis.app.link_files import kept_authority
from parvis.app.ray_replica import EngineReplica
from parvis.core.errors import Failure, Misconfigured
from parvis.domain.fleet.deployment import Deployment
from parvis.domain.fleet.replica import Replica

FOLDER = "ray"
_CERTIFICATE, _KEY = "authority.pem", "authority.key"


class Driver:
    """One connection to one cluster."""

    def __init__(self, home: Path, cluster: RayCluster) -> None:
        folder = home / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        self._authority: Identity = kept_authority("Parvis on Ray", folder / _CERTIFICATE, folder / _KEY)
        self._trusted = str(folder / _CERTIFICATE)
        self._cluster = cluster
        self._known: dict[str, Deployment] = {}

    async def answer(self, asked: Word) -> Word:
        """What the supervisor asks. Raises Failure."""
        match asked["do"]:
            case "deployments":
                wanted = msgspec.convert(asked["deployments"], tuple[Deployment, ...])
                self._known |= {one.deployment_id: one for one in wanted}
                if asked["acts"]:
                    await asyncio.to_thread(self._cluster.make_so, wanted)
                return {}
            case "replicas":
                living = await asyncio.to_thread(self._cluster.living)
                if living is None:
                    return {}
                await asyncio.to_thread(self._certify, living)
                return {"replicas": msgspec.to_builtins(self._replicas(living))}
            case unknown:
                raise Misconfigured(f"The driver of Ray does not understand '{unknown}'.")

    def _certify(self, living: Mapping[str, ReplicaFacts]) -> None:
        for replica_id, facts in living.items():
            if facts.request:
                names = server_names([facts.host])
                certificate = sign_server_request(
                    self._authority, facts.request.encode(), names, datetime.now(UTC), AUTHORITY_DAYS
                )
                self._cluster.certify(replica_id, certificate.public_bytes(Encoding.PEM))

    def _replicas(self, living: Mapping[str, ReplicaFacts]) -> list[Replica]:
        """Of deployments that were ever wanted: one that is removed drains its last replicas under our eyes."""
        return [
            as_replica(replica_id, facts, self._known[facts.deployment_id], self._trusted)
            for replica_id, facts in sorted(living.items())
            if facts.deployment_id in self._known
        ]


async def _main(word: Word) -> None:
    stop = asyncio.Event()
    cluster = RayCluster(word["address"], word["name"], EngineReplica)
    driver = Driver(Path(word["home"]), cluster)
    await asyncio.to_thread(cluster.connect)
    Parent(asyncio.get_running_loop(), stop.set, driver.answer).hear()
    report({"ready": True})
    await stop.wait()


def main() -> None:
    """Run the process."""
    die_with_parent()
    log_to_stderr()
    print_to_the_log()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        asyncio.run(_main(first_word()))
    except Failure as problem:
        report({"error": str(problem)})
        sys.exit(1)


if __name__ == "__main__":
    main()
