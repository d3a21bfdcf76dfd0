"""What runs where: deployments are made, changed, drained and removed, and single replicas are marked.

Each of these only says what is wanted. Control tells gateways, and the supervisor starts and ends engine processes.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import msgspec

from parvis.core.clock import Clock
from parvis.core.errors import BadRequest, Conflict, Misconfigured, NotFound
from parvis.domain.catalog.builtin import entry
from parvis.domain.catalog.model import Model
from parvis.domain.catalog.rules import free_aliases
from parvis.domain.fleet.deployment import Deployment, DeploymentState, Source
from parvis.domain.fleet.replica import Replica, ReplicaState
from parvis.flows.catalogue import apply
from parvis.flows.deployment_rules import checked_deployment
from parvis.flows.deployment_store import DeploymentStore
from parvis.flows.store import CatalogueStore

DEPLOYMENTS_MAX = 500
Revise = Callable[[Deployment], Deployment]


class FleetStore(DeploymentStore, CatalogueStore, Protocol):
    """The ports that these stories need, of one store."""


class Seen(NamedTuple):
    """A replica as all gateways together see it."""

    state: str = "unseen"
    """In a word: `open`, `closed`, `partly`, `returning` or `unseen`."""
    gateways: int = 0
    """How many know it."""
    open: int = 0
    """How many of them send it requests."""
    in_flight: int = 0
    pace: float = 0.0
    """How much of its share it takes: less than 1 while it comes back."""
    first_byte_ms: int = 0
    why: str = ""
    """Of the first one that does not send it everything."""


def takes_requests(replica: Replica, seen: str) -> bool:
    """Whether it serves, as `Seen.state` tells: gateways that have not seen it yet have found nothing wrong."""
    return replica.state is ReplicaState.READY and seen != "closed"


async def _anything_goes(_: Deployment) -> None:
    """No machine is asked."""


@dataclass(frozen=True, slots=True)
class Depot:
    """What is known of machines."""

    given: Callable[[], tuple[Deployment, ...]] = tuple
    """The engines of the settings, as deployments. They change in the settings alone."""
    replicas: Callable[[], tuple[Replica, ...]] = tuple
    """All that there are, as gateways are told; those that do not run yet are told to nobody."""
    seen: Callable[[str], Seen] = lambda _: Seen()
    """What gateways see of a replica, by its id."""
    look_at: Callable[[Deployment], Awaitable[None]] = _anything_goes
    """Whether it can be served: weights, keys and certificates are there. Raises Misconfigured."""


NO_DEPOT = Depot()


@dataclass(frozen=True, slots=True)
class Yard:
    """Where these stories act."""

    store: FleetStore
    clock: Clock
    depot: Depot

    async def deployments(self) -> list[Deployment]:
        """All, those of the settings too, sorted by id."""
        kept = (await self.store.fleet_wanted()).deployments
        return sorted((*kept, *self.depot.given()), key=lambda one: one.deployment_id)

    async def deployment(self, deployment_id: str) -> Deployment:
        """Raises NotFound."""
        for one in await self.deployments():
            if one.deployment_id == deployment_id:
                return one
        raise NotFound(f"There is no deployment '{deployment_id[:100]}'.", param="deployment_id")

    def is_given(self, deployment_id: str) -> bool:
        """Whether the settings have it."""
        return any(one.deployment_id == deployment_id for one in self.depot.given())

    def replica(self, replica_id: str) -> Replica:
        """Raises NotFound."""
        for one in self.depot.replicas():
            if one.replica_id == replica_id:
                return one
        raise NotFound(f"There is no replica '{replica_id[:100]}'.", param="replica_id")


# Deployments


def facts_of(deployment: Deployment) -> dict[str, object]:
    """All that somebody can say of it, in plain values. One that was drained has come to what was wanted."""
    facts: dict[str, object] = msgspec.to_builtins(deployment)
    del facts["deployment_id"], facts["generation"]
    stopped = deployment.state is DeploymentState.STOPPED
    facts["state"] = DeploymentState.DRAINING if stopped else deployment.state
    return {name: tuple(fact) if isinstance(fact, list) else fact for name, fact in facts.items()}


def revised(before: Deployment, said: Mapping[str, object]) -> Deployment:
    """With what was said of it, in plain values of the right types, and the rest as it was."""
    return msgspec.convert({**msgspec.to_builtins(before), **said}, Deployment)


async def create_deployment(yard: Yard, said: Deployment) -> Deployment:
    """A new one, and an entry of the catalogue for its model if there is none.

    Without a pool, it is that of its model. Raises Conflict, NotFound, BadRequest.
    """
    there = await yard.deployments()
    if any(one.deployment_id == said.deployment_id for one in there):
        raise Conflict(f"There is a deployment '{said.deployment_id[:100]}' already.", param="id")
    if len(there) >= DEPLOYMENTS_MAX:
        raise _too_many()
    wanted, new = await _checked(yard, said, there, await yard.store.models())
    await apply(yard.store, new, yard.clock, dry_run=True)
    await yard.store.add_deployment(wanted)
    await apply(yard.store, new, yard.clock)
    return wanted


async def change_deployment(yard: Yard, deployment_id: str, revise: Revise) -> Deployment:
    """Other facts, its id apart. Engine processes that cannot follow are replaced one after another.

    Raises as `create_deployment` does.
    """
    before = await _own(yard, deployment_id)
    there = [one for one in await yard.deployments() if one.deployment_id != deployment_id]
    wanted, new = await _checked(yard, revise(before), there, await yard.store.models())
    await apply(yard.store, new, yard.clock, dry_run=True)
    if wanted != before:
        await yard.store.swap_deployment(before, wanted)
        await apply(yard.store, new, yard.clock)
    return wanted


async def foresee_deployments(
    yard: Yard, models: Collection[Model], said: Iterable[tuple[str, Mapping[str, object]]]
) -> list[Model]:
    """Refuse now what making or changing these one after another would refuse; the entries that they would make.

    `models`: the catalogue as it will be by then. Changes nothing. Raises as `create_deployment` does.
    """
    there = {one.deployment_id: one for one in await yard.deployments()}
    entries, made = list(models), list[Model]()
    for deployment_id, facts in said:
        if yard.is_given(deployment_id):
            raise _of_settings(deployment_id)
        if deployment_id not in there and len(there) >= DEPLOYMENTS_MAX:
            raise _too_many()
        before = there.pop(deployment_id, Deployment(deployment_id=deployment_id, pool=""))
        there[deployment_id], new = await _checked(yard, revised(before, facts), list(there.values()), entries)
        entries += new
        made += new
    return made


async def set_deployment_state(yard: Yard, deployment_id: str, state: DeploymentState) -> Deployment:
    """Serve, cordon or drain it as a whole. Again is no error. Raises NotFound, Conflict."""
    before = await _own(yard, deployment_id)
    drained = before.state is DeploymentState.STOPPED and state is DeploymentState.DRAINING
    after = before if drained else replace(before, state=state)
    if after != before:
        await yard.store.swap_deployment(before, after)
    return after


async def restart_deployment(yard: Yard, deployment_id: str) -> Deployment:
    """Replace its engine processes one after another; nobody is refused. Raises NotFound, Conflict."""
    before = await _own(yard, deployment_id)
    if before.source is Source.ADDRESSES:
        raise Conflict(
            f"The servers of '{deployment_id}' are not ours to start. Drain one replica, restart its server, uncordon "
            "it, and go on with the next."
        )
    after = replace(before, generation=before.generation + 1)
    await yard.store.swap_deployment(before, after)
    return after


async def remove_deployment(yard: Yard, deployment_id: str) -> Deployment:
    """For good. What runs on its replicas may finish. Raises NotFound, Conflict."""
    gone = await _own(yard, deployment_id)
    await yard.store.remove_deployment(deployment_id)
    return gone


async def forget_stopped(store: DeploymentStore, before: Deployment) -> None:
    """Nothing runs any more of one that was to be drained. Raises Conflict when somebody has changed it meanwhile."""
    await store.swap_deployment(before, replace(before, state=DeploymentState.STOPPED))


# Replicas


async def mark_replica(yard: Yard, replica_id: str, state: ReplicaState) -> Replica:
    """Cordon or drain one replica, or (`ready`) take that back. Raises NotFound.

    An engine process of a deployment that is drained ends, and another follows it; any other replica stays and takes
    nothing new until it is uncordoned.
    """
    found = yard.replica(replica_id)
    await yard.store.mark_replica(replica_id, state)
    return found


async def _own(yard: Yard, deployment_id: str) -> Deployment:
    """One that can be changed."""
    if yard.is_given(deployment_id):
        raise _of_settings(deployment_id)
    return await yard.deployment(deployment_id)


def _of_settings(deployment_id: str) -> Conflict:
    return Conflict(f"'{deployment_id}' is an engine of the settings. Change parvis.toml and type `parvis reload`.")


def _too_many() -> Conflict:
    return Conflict(f"There are {DEPLOYMENTS_MAX} deployments already, and there can be no more.")


async def _checked(
    yard: Yard, said: Deployment, others: list[Deployment], entries: list[Model]
) -> tuple[Deployment, list[Model]]:
    """As it is kept, and the entries to make for it."""
    known = next((one for one in entries if one.id == said.model), None)
    named = replace(said, pool=said.pool or (known.engine if known else said.deployment_id))
    wanted = checked_deployment(named)
    _check_entry(wanted, known, entries)
    _check_twins(wanted, others)
    try:
        await yard.depot.look_at(wanted)
    except Misconfigured as problem:
        raise BadRequest(str(problem), param="deployment") from None
    new = [] if known or not wanted.model else [_entry(wanted, entries)]
    return wanted, new


def _check_entry(wanted: Deployment, known: Model | None, entries: list[Model]) -> None:
    if not wanted.model and not any(one.engine == wanted.pool for one in entries):
        raise BadRequest(
            f"No model of the catalogue is served by the pool '{wanted.pool}'. Say which model it is, and an entry is "
            "made for it.",
            param="model",
        )
    if known is not None and known.engine != wanted.pool:
        raise Conflict(
            f"The model '{known.id}' is served by the pool '{known.engine}', not by '{wanted.pool}'.", param="pool"
        )


def _check_twins(wanted: Deployment, others: list[Deployment]) -> None:
    """An address that stands twice in a pool would be given twice its share."""
    urls = {one.url for one in wanted.addresses}
    for other in others:
        if other.pool == wanted.pool and (both := urls.intersection(one.url for one in other.addresses)):
            raise Conflict(f"'{other.deployment_id}' has the address '{min(both)}' already.", param="addresses")


def _entry(wanted: Deployment, entries: list[Model]) -> Model:
    made = entry(
        wanted.model,
        engine=wanted.pool,
        engine_model=wanted.engine_model or wanted.model,
        context_tokens=wanted.context_tokens,
        embedding=wanted.embedding,
    )
    return replace(made, aliases=free_aliases(made, entries))
