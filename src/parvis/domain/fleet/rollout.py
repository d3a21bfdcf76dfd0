"""From what is wanted and what runs to the next steps: which engine processes start, which are drained, which end.

The steps are small, and are taken again and again until there is none left. While they are taken no deployment has
fewer ready replicas than it wants, or one fewer where the machine has no room for one more.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from parvis.domain.fleet.deployment import Deployment
from parvis.domain.fleet.replica import ReplicaState


class Running(NamedTuple):
    """One engine process of a deployment."""

    replica_id: str
    deployment_id: str
    recipe: tuple[object, ...]
    """Of the deployment as it was when this was started."""
    state: ReplicaState
    """`starting`, `ready` or `draining`."""


class Steps(NamedTuple):
    """What to do now. `starts` has a deployment once for each process to start."""

    starts: tuple[Deployment, ...] = ()
    drains: tuple[str, ...] = ()
    """Replicas that take nothing new from now on, and end when nothing runs on them any more."""
    stops: tuple[str, ...] = ()
    """Replicas that never served, and end at once."""


def wanted_changes(
    deployments: Iterable[Deployment],
    running: Sequence[Running],
    *,
    drained: Collection[str] = (),
    roomy: Collection[str] = (),
) -> Steps:
    """The next steps; none when everything is as wanted.

    `drained`: replicas that shall go whatever becomes of their deployment; another follows each. `roomy`: deployments
    of which the machine has room for one process more than is wanted.
    """
    known = {one.deployment_id: one for one in deployments}
    of: defaultdict[str, list[Running]] = defaultdict(list)
    for one in running:
        of[one.deployment_id].append(one)
    parts = [
        _changes(known.get(name), of[name], set(drained), extra=int(name in roomy)) for name in sorted({*known, *of})
    ]
    return Steps(
        tuple(step for part in parts for step in part.starts),
        tuple(step for part in parts for step in part.drains),
        tuple(step for part in parts for step in part.stops),
    )


def _changes(wanted: Deployment | None, mine: Sequence[Running], drained: set[str], *, extra: int) -> Steps:
    count = wanted.replicas if wanted is not None and wanted.serves else 0
    recipe = None if wanted is None else wanted.recipe
    staying = [one for one in mine if one.state is not ReplicaState.DRAINING and one.replica_id not in drained]
    told = [one for one in mine if one.state is not ReplicaState.DRAINING and one.replica_id in drained]
    fresh = [one for one in staying if one.recipe == recipe]
    ready = [one for one in fresh if one.state is ReplicaState.READY][:count]
    starting = [one for one in fresh if one.state is not ReplicaState.READY][: count - len(ready)]
    kept = {one.replica_id for one in (*ready, *starting)}
    leaving = [one for one in staying if one.replica_id not in kept]
    old = [one for one in leaving if one.state is ReplicaState.READY]
    spare = len(ready) + len(old) - (count if extra else count - 1)
    gone = [one.replica_id for one in (*told, *leaving) if one.state is not ReplicaState.READY]
    drains = [one.replica_id for one in (*told, *old[: max(0, spare) if count else None]) if one.replica_id not in gone]
    there = len(mine) - len(gone) if not extra else len(kept) + len(old) - extra
    missing = max(0, min(count - len(kept), count - there))
    starts = (wanted,) * missing if wanted is not None else ()
    return Steps(starts, tuple(drains), tuple(gone))
