"""The acts of `parvis apply`: each change is made by the story that makes it for everybody else."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from parvis.core.errors import Conflict
from parvis.core.money import Money
from parvis.core.secret import Secret
from parvis.domain.billing.price import PriceList
from parvis.domain.catalog.model import Model
from parvis.domain.fleet.deployment import Deployment
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.changes import Change, Kind, Sign
from parvis.domain.identity.organisation import Exhaustion, Standing
from parvis.domain.identity.person import Realm
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import Principal
from parvis.domain.identity.role import Role
from parvis.domain.identity.rotation import Schedule
from parvis.domain.identity.scope import Endpoint, KeyScope
from parvis.domain.quota.limit import NO_LIMITS, Tier
from parvis.domain.quota.limit_words import of_words
from parvis.flows import catalogue, grants, limits, organisations
from parvis.flows.declared import limits_named
from parvis.flows.deployments import (
    Depot,
    Yard,
    change_deployment,
    create_deployment,
    remove_deployment,
    revised,
)
from parvis.flows.invitations import invite
from parvis.flows.keys import KeyTerms, Mint, change_key, create_key, revoke_key, tenant_named
from parvis.flows.organisations import Office, TenantChange
from parvis.flows.people import create_person, rename
from parvis.flows.store import Store


@dataclass(frozen=True, slots=True)
class Made:
    """Something that was made and that holds a secret, shown this once."""

    change: Change
    object_id: str
    text: Secret


class Bench:
    """Makes one change after another."""

    def __init__(
        self,
        store: Store,
        mint: Mint,
        actor: Principal,
        models: Sequence[Model],
        prices: Sequence[PriceList],
        depot: Depot,
    ) -> None:
        self._store = store
        self._mint = mint
        self._actor = actor
        self._office = Office(store, mint.clock, mint.randomness)
        self._yard = Yard(store, mint.clock, depot)
        self._models = {model.id: model for model in models}
        self._prices = {(one.version, one.model_id): one for one in prices}
        self.made: list[Made] = []

    async def make(self, change: Change) -> None:
        """Raises what its story raises."""
        if change.sign is Sign.REMOVE:
            await self._remove(change)
            return
        acts: dict[Kind, Callable[[Change], Awaitable[None]]] = {
            Kind.TIER: self._tier,
            Kind.ORGANISATION: self._organisation,
            Kind.TENANT: self._tenant,
            Kind.PROJECT: self._project,
            Kind.MODEL: self._model,
            Kind.PRICE: self._price,
            Kind.DEPLOYMENT: self._deployment,
            Kind.KEY: self._key,
            Kind.PERSON: self._person,
            Kind.INVITATION: self._invitation,
            Kind.GRANT: self._grant,
        }
        await acts[change.kind](change)
        await self._limits(change)

    async def _limits(self, change: Change) -> None:
        """A new key has its own from the beginning."""
        if (change.kind, change.sign) != (Kind.KEY, Sign.ADD):
            for fact, subject in limits_named(change.kind, change.path, change.object_id).items():
                wanted = _Said(change).words(fact)
                if wanted is not None:
                    await limits.set_limits(self._store, self._actor, subject, of_words(wanted))

    async def _tier(self, change: Change) -> None:
        [tier_id], said = change.path, _Said(change)
        known = {tier.tier_id: tier for tier in await self._store.tiers()}
        before = known.get(tier_id, Tier(tier_id, tier_id, tier_id, NO_LIMITS))
        words, entry, priority = said.words("limits"), said.text("entry_credit_euro"), said.number("priority")
        after = replace(
            before,
            name=said.text("name") or before.name,
            name_fr=said.text("name_fr") or before.name_fr,
            limits=before.limits if words is None else of_words(words),
            priority=before.priority if priority is None else priority,
            entry_credit=before.entry_credit if entry is None else Money.euro(entry),
        )
        await limits.put_tier(self._store, after)

    async def _model(self, change: Change) -> None:
        await catalogue.apply(self._store, [self._models[change.path[0]]], self._mint.clock)

    async def _price(self, change: Change) -> None:
        await catalogue.add_prices(self._store, self._prices[(change.path[0], change.path[1])])

    async def _deployment(self, change: Change) -> None:
        [deployment_id] = change.path
        if change.sign is Sign.ADD:
            new = Deployment(deployment_id=deployment_id, pool="")
            await create_deployment(self._yard, revised(new, change.after))
        else:
            await change_deployment(self._yard, deployment_id, lambda before: revised(before, change.after))

    async def _organisation(self, change: Change) -> None:
        [organisation_id], said = change.path, _Said(change)
        if change.sign is Sign.ADD:
            name = said.text("name") or organisation_id
            await organisations.create_organisation(self._office, self._actor, name, organisation_id)
        await organisations.change_organisation(
            self._office, organisation_id, name=said.text("name"), second_factor=said.truth("second_factor")
        )
        match said.text("standing"):
            case Standing.SUSPENDED:
                await organisations.suspend_organisation(self._office, self._actor, organisation_id)
            case Standing.ACTIVE:
                await organisations.resume_organisation(self._office, self._actor, organisation_id)

    async def _tenant(self, change: Change) -> None:
        (organisation_id, tenant_id), said = change.path, _Said(change)
        if change.sign is Sign.ADD:
            name = said.text("name") or tenant_id
            await organisations.create_tenant(self._office, self._actor, organisation_id, name, tenant_id)
        rules = TenantChange(
            said.text("name"),
            said.texts("models_allowed"),
            said.texts("models_denied"),
            said.texts("addresses"),
            said.truth("credit_unlimited"),
        )
        await organisations.change_tenant(self._office, self._actor, tenant_id, rules)
        way = said.text("exhaustion")
        exhaustion = None if way is None else Exhaustion(way)
        await limits.set_contract(self._store, self._actor, tenant_id, said.text("tier"), exhaustion)
        match said.text("standing"):
            case Standing.SUSPENDED:
                await organisations.suspend_tenant(self._office, self._actor, tenant_id)
            case Standing.ACTIVE:
                await organisations.resume_tenant(self._office, self._actor, tenant_id)

    async def _project(self, change: Change) -> None:
        (_, tenant_id, project_id), said = change.path, _Said(change)
        if change.sign is Sign.ADD:
            name = said.text("name") or project_id
            await organisations.create_project(self._office, tenant_id, name, project_id)
        await organisations.change_project(
            self._office, project_id, name=said.text("name"), archived=said.truth("archived")
        )

    async def _key(self, change: Change) -> None:
        if change.sign is Sign.ADD:
            tenant = await tenant_named(self._store, change.path[1])
            new = await create_key(self._store, self._mint, tenant, change.path[2], terms=_terms(change))
            self.made.append(Made(change, new.key.key_id, new.text))
        else:
            await change_key(self._store, self._mint.clock, change.object_id, lambda key: _changed(key, change))

    async def _person(self, change: Change) -> None:
        organisation_id, email = change.path
        said = _Said(change)
        if change.sign is Sign.ADD:
            name = said.text("name") or email
            made = await create_person(self._store, self._mint, Realm.CUSTOMER, organisation_id, email, name)
            await rename(self._store, Realm.CUSTOMER, made.user_id, language=said.text("language"))
        else:
            words = {"name": said.text("name"), "language": said.text("language")}
            await rename(self._store, Realm.CUSTOMER, change.object_id, **words)

    async def _invitation(self, change: Change) -> None:
        organisation_id, email = change.path
        roles = [_role(organisation_id, *text.partition(" ")[::2]) for text in _Said(change).texts("roles") or ()]
        invited = await invite(self._store, self._mint, self._actor, organisation_id, email, roles)
        self.made.append(Made(change, invited.invitation.invitation_id, invited.link))

    async def _grant(self, change: Change) -> None:
        organisation_id, email, role, tenant_id = change.path
        person = await self._store.people(Realm.CUSTOMER).person_by_email(email)
        if person is None or person.organisation_id != organisation_id:
            raise Conflict(f"'{email}' is a user of another organisation, or of none.", param="people")
        given = _role(organisation_id, role, tenant_id)
        await grants.grant(self._store, self._mint, self._actor, person.user_id, *given)

    async def _remove(self, change: Change) -> None:
        """Nothing is lost that somebody could miss: tenants are suspended, projects archived, running answers end."""
        match change.kind:
            case Kind.TENANT:
                await organisations.suspend_tenant(self._office, self._actor, change.object_id)
            case Kind.PROJECT:
                await organisations.change_project(self._office, change.object_id, archived=True)
            case Kind.KEY:
                await revoke_key(self._store, change.object_id)
            case Kind.DEPLOYMENT:
                await remove_deployment(self._yard, change.path[0])
            case _:
                await grants.withdraw(self._store, self._actor, change.object_id)


class _Said:
    """The facts of a change, each by its type; None for what is not said."""

    def __init__(self, change: Change) -> None:
        self._facts = change.after

    def text(self, name: str) -> str | None:
        found = self._facts.get(name)
        return found if isinstance(found, str) else None

    def truth(self, name: str) -> bool | None:
        found = self._facts.get(name)
        return found if isinstance(found, bool) else None

    def number(self, name: str) -> int | None:
        found = self._facts.get(name)
        return found if isinstance(found, int) else None

    def texts(self, name: str) -> tuple[str, ...] | None:
        found = self._facts.get(name)
        return tuple(str(word) for word in found) if isinstance(found, tuple) else None

    def words(self, name: str) -> dict[str, object] | None:
        found = self._facts.get(name)
        return found if isinstance(found, dict) else None

    def numbers(self, name: str) -> tuple[int, ...] | None:
        found = self._facts.get(name)
        return tuple(int(number) for number in found) if isinstance(found, tuple) else None

    def says(self, name: str) -> bool:
        return name in self._facts


def _changed(key: ApiKey, change: Change) -> ApiKey:
    """A key with what is said of it, and the rest as it was."""
    said = _Said(change)
    return replace(
        key,
        scope=_scope(key.scope, said),
        project_id=(said.text("project") or "") if said.says("project") else key.project_id,
        tags=(said.texts("tags") or ()) if said.says("tags") else key.tags,
        ends_unix_ms=said.number("ends_unix_ms") if said.says("ends_unix_ms") else key.ends_unix_ms,
        schedule=_schedule(said) if said.says("rotation_ms") else key.schedule,
    )


def _terms(change: Change) -> KeyTerms:
    said = _Said(change)
    return KeyTerms(
        scope=_scope(KeyScope(), said),
        ends_unix_ms=said.number("ends_unix_ms"),
        schedule=_schedule(said),
        project_id=said.text("project") or "",
        tags=said.texts("tags") or (),
        limits=of_words(said.words("limits") or {}),
    )


def _scope(before: KeyScope, said: _Said) -> KeyScope:
    endpoints = said.texts("endpoints")
    return KeyScope(
        before.models_allowed if (models := said.texts("models")) is None else models,
        before.models_denied if (denied := said.texts("models_denied")) is None else denied,
        before.endpoints if endpoints is None else tuple(Endpoint(word) for word in endpoints),
        before.addresses if (addresses := said.texts("addresses")) is None else addresses,
    )


def _schedule(said: _Said) -> Schedule | None:
    spans = said.numbers("rotation_ms")
    return None if spans is None else Schedule(*spans)


def _role(organisation_id: str, role: str, tenant_id: str) -> tuple[Role, Target]:
    return Role(role), Target(organisation_id, tenant_id)
