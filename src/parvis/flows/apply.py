"""`parvis apply`: make everything what a file declares, or say what would change.

What is there is read, the difference is decided by a pure function, and then each change is made by the story that
makes it for everybody else, in an order in which it can. Each is durable by itself: who dies midway applies again, and
what was made is there already. Applying twice changes nothing the second time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from parvis.core.errors import BadRequest, Conflict, Failure
from parvis.domain.billing.price import PriceList
from parvis.domain.catalog.changes import Change as ModelChange
from parvis.domain.catalog.model import Model
from parvis.domain.identity.changes import Change, FieldChange, Kind, Sheet, Sign, plan
from parvis.domain.identity.principal import Principal
from parvis.flows import catalogue
from parvis.flows.apply_acts import Bench, Made
from parvis.flows.apply_record import action_of, place_of_change
from parvis.flows.declared import present, settled
from parvis.flows.deployments import NO_DEPOT, Depot, Yard, foresee_deployments
from parvis.flows.keys import Mint
from parvis.flows.organisations import default_project_id
from parvis.flows.store import Store
from parvis.flows.witness import Witness

_BEFORE_MODELS = (Kind.TIER, Kind.ORGANISATION, Kind.TENANT, Kind.PROJECT)
_NO_CUSTOMERS = (Kind.TIER, Kind.DEPLOYMENT)


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a file says. Sheets name tiers, organisations, tenants, projects, deployments, keys, people and grants."""

    sheets: tuple[Sheet, ...] = ()
    models: tuple[Model, ...] = ()
    prices: tuple[PriceList, ...] = ()
    owned: tuple[Kind, ...] = ()
    depot: Depot = NO_DEPOT
    """Who knows whether the machines can serve what it deploys."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What was to change, and the secrets that were made."""

    changes: list[Change]
    made: list[Made]
    stopped: Failure | None = None
    """Why it went no further, when secrets had been made that must be handed over all the same."""


async def difference(store: Store, mint: Mint, wanted: Declaration, *, prune: bool) -> list[Change]:
    """What must happen, in the order in which it will. Raises BadRequest and Conflict for what cannot."""
    models = await catalogue.apply(store, wanted.models, mint.clock, dry_run=True)
    prices = await _prices(store, wanted.prices)
    customers = {sheet.path[0] for sheet in wanted.sheets if sheet.kind not in _NO_CUSTOMERS}
    here = await present(store, mint.clock, customers)
    known = {model.id: model for model in [*await store.models(), *wanted.models]}
    said = settled(wanted.sheets, here, known.values())
    changes = [change for change in plan(here, said, wanted.owned if prune else ()) if not _is_default(change)]
    first = [change for change in changes if change.kind in _BEFORE_MODELS and change.sign is not Sign.REMOVE]
    rest = [change for change in changes if change not in first]
    yard = Yard(store, mint.clock, wanted.depot)
    entries = await foresee_deployments(yard, known.values(), [(c.path[0], c.after) for c in rest if _deploys(c)])
    await catalogue.apply(store, [*wanted.models, *entries], mint.clock, dry_run=True)
    return [*first, *(_of_model(change) for change in models), *prices, *rest]


async def apply(
    store: Store,
    mint: Mint,
    actor: Principal,
    wanted: Declaration,
    *,
    prune: bool = False,
    show_secrets: bool = False,
    witness: Witness | None = None,
) -> Applied:
    """Make everything so. Raises BadRequest, and changes nothing, for new secrets that nobody would see.

    Raises what the story of each change raises, unless a secret was made before; what was changed before stays, and
    applying again goes on from there. The witness writes each change into the record of whose it is.
    """
    changes = await difference(store, mint, wanted, prune=prune)
    if hidden := [c for c in changes if c.sign is Sign.ADD and c.kind in (Kind.KEY, Kind.INVITATION)]:
        _demand_shown(hidden, show_secrets=show_secrets)
    bench = Bench(store, mint, actor, wanted.models, wanted.prices, wanted.depot)
    try:
        for change in changes:
            if change.sign is not Sign.SAME:
                await _make(bench, change, witness)
    except Failure as failure:
        if not bench.made:
            raise
        return Applied(changes, bench.made, failure)
    return Applied(changes, bench.made)


async def _make(bench: Bench, change: Change, witness: Witness | None) -> None:
    if witness is None:
        await bench.make(change)
    else:
        place, objects = place_of_change(change)
        await witness.act(action_of(change), place, objects, lambda: bench.make(change))


def _deploys(change: Change) -> bool:
    return change.kind is Kind.DEPLOYMENT and change.sign in (Sign.ADD, Sign.CHANGE)


def _is_default(change: Change) -> bool:
    """Whether it would take away the project that every tenant has."""
    gone = change.sign is Sign.REMOVE and change.kind is Kind.PROJECT
    return gone and change.object_id == default_project_id(change.path[1])


def _demand_shown(hidden: Sequence[Change], *, show_secrets: bool) -> None:
    if show_secrets:
        return
    named = ", ".join(f"'{'/'.join(change.path)}'" for change in hidden[:3])
    raise BadRequest(
        f"New keys and invitations are shown once, and nobody would see them: {named}. "
        "Say where to put them: --show-new-keys-to FILE.",
        code="secrets_not_shown",
        param="show_secrets",
    )


async def _prices(store: Store, wanted: Sequence[PriceList]) -> list[Change]:
    kept = {(prices.version, prices.model_id): prices for prices in await store.prices()}
    changes = []
    for prices in wanted:
        before = kept.get((prices.version, prices.model_id))
        if before is not None and before != prices:
            raise Conflict(
                f"Prices '{prices.version}' of '{prices.model_id}' exist and never change: choose a new version.",
                param="prices",
            )
        sign = Sign.ADD if before is None else Sign.SAME
        changes.append(Change(sign, Kind.PRICE, (prices.version, prices.model_id)))
    return changes


def _of_model(change: ModelChange) -> Change:
    fields = tuple(FieldChange(one.name, one.before, one.after) for one in change.fields)
    return Change(Sign(change.kind), Kind.MODEL, (change.model.id,), change.model.id, fields)
