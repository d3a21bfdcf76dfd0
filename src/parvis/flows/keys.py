"""API keys: made, changed, listed, revoked. The secret of a key exists here for as long as it takes to hand it over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Protocol

from parvis.core.clock import Clock
from parvis.core.errors import BadRequest, Conflict, NotFound
from parvis.core.ids import Randomness
from parvis.core.secret import Secret
from parvis.domain.catalog.model import Model
from parvis.domain.identity.api_key import ApiKey, secret_digest
from parvis.domain.identity.key_text import new_key, write_key
from parvis.domain.identity.organisation import Tenant
from parvis.domain.identity.patterns import meets, network_faults, pattern_faults, within
from parvis.domain.identity.rotation import Schedule, schedule_faults
from parvis.domain.identity.scope import ANYTHING, KeyScope, names_match
from parvis.domain.identity.succession import first_secret, rescheduled
from parvis.domain.quota.limit import NO_LIMITS, Level, Limits, subject
from parvis.flows.limit_store import LimitStore
from parvis.flows.limits import checked_limits, limits_of_place
from parvis.flows.reach import place_of
from parvis.flows.store import CatalogueStore, IdentityStore

NAME_CHARS_MAX = 100
TAGS_MAX = 20
TAG_CHARS_MAX = 64
PAGE = 1000
SWAPS_MAX = 10


class KeyStore(IdentityStore, CatalogueStore, LimitStore, Protocol):
    """The ports that making a key needs, of one store."""


@dataclass(frozen=True, slots=True)
class Mint:
    """What a key is made with. The pepper stays outside the database."""

    pepper: Callable[[], bytes]
    clock: Clock
    randomness: Randomness


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key or a secret that was just made. `text` is all of it: shown to its owner once, stored never."""

    key: ApiKey
    text: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTerms:
    """All that may be said of a key beside its name. Patterns without `*` are ids or aliases of the catalogue."""

    scope: KeyScope = ANYTHING
    ends_unix_ms: int | None = None
    schedule: Schedule | None = None
    project_id: str = ""
    tags: tuple[str, ...] = ()
    owner_id: str = ""
    limits: Limits = NO_LIMITS
    """Of a new key; later they are changed by who may limit (`parvis.flows.limits`)."""


WITHOUT_BOUNDS = KeyTerms()


async def create_key(
    store: KeyStore,
    mint: Mint,
    tenant: Tenant,
    name: str,
    models: Sequence[str] | None = None,
    terms: KeyTerms = WITHOUT_BOUNDS,
) -> NewKey:
    """Make a key and keep its digest; durable on return. `models`, if said, stand for those that `terms` allow.

    Raises BadRequest for what cannot be, NotFound for a project that the tenant has not.
    """
    if models is not None:
        terms = replace(terms, scope=replace(terms.scope, models_allowed=tuple(models)))
    made = mint_key(mint, tenant, name, terms=terms)
    checked = await _checked(store, mint.clock, tenant, made.key)
    if terms.limits != NO_LIMITS:  # before the key, so that it is never used without them
        named = subject(Level.KEY, checked.key_id)
        await store.put_limits(limits_of_place(named, place_of(tenant), checked_limits(terms.limits)))
    await store.add_key(checked)
    return NewKey(checked, made.text)


def mint_key(
    mint: Mint, tenant: Tenant, name: str, models: Sequence[str] | None = None, terms: KeyTerms = WITHOUT_BOUNDS
) -> NewKey:
    """A fresh key that nobody knows yet; its terms are taken as they are."""
    key_id, secret = new_key(mint.randomness)
    now = mint.clock.unix_ms()
    key = ApiKey(
        key_id,
        tenant.organisation_id,
        tenant.tenant_id,
        name,
        (),
        terms.scope if models is None else replace(terms.scope, models_allowed=tuple(models)),
        ends_unix_ms=terms.ends_unix_ms,
        schedule=terms.schedule,
        project_id=terms.project_id,
        tags=terms.tags,
        owner_id=terms.owner_id,
        created_unix_ms=now,
    )
    digest = secret_digest(mint.pepper(), key_id, secret)
    return NewKey(first_secret(key, digest, now), write_key(key_id, secret))


async def change_key(store: KeyStore, clock: Clock, key_id: str, change: Callable[[ApiKey], ApiKey]) -> ApiKey:
    """Replace a key by what `change` makes of it; secrets, standing and places stay as they are.

    `change` may be asked again when somebody else was faster. Raises as `create_key` does, and Conflict for a revoked
    key.
    """
    for _ in range(SWAPS_MAX):
        before = await key_named(store, key_id)
        wanted = change(before)
        after = replace(
            rescheduled(before, wanted.schedule, clock.unix_ms()),
            name=wanted.name,
            scope=wanted.scope,
            ends_unix_ms=wanted.ends_unix_ms,
            project_id=wanted.project_id,
            tags=wanted.tags,
        )
        if not before.active:
            raise Conflict(f"The key '{key_id}' was revoked. Make another.")
        tenant = await tenant_named(store, before.tenant_id)
        checked = await _checked(store, clock, tenant, after, before)
        if await _swapped(store, before, checked):
            return checked
    raise _too_busy(key_id)


async def swap(store: IdentityStore, key_id: str, change: Callable[[ApiKey], ApiKey]) -> ApiKey:
    """Replace a key by what `change` makes of it, whole. Raises NotFound, and what `change` raises."""
    for _ in range(SWAPS_MAX):
        before = await key_named(store, key_id)
        after = change(before)
        if await _swapped(store, before, after):
            return after
    raise _too_busy(key_id)


async def list_keys(store: IdentityStore, tenant_id: str | None = None) -> list[ApiKey]:
    """All keys, of one tenant or of all, revoked ones included, sorted by id."""
    return [key for key in await store.keys() if tenant_id in (None, key.tenant_id)]


async def keys_page(
    store: IdentityStore, tenant_ids: Sequence[str] | None, after: str | None, limit: int
) -> tuple[list[ApiKey], str | None]:
    """The next keys after an id, of these tenants or of all, sorted by id; and what to say for the following page."""
    if not 0 < limit <= PAGE:
        raise BadRequest(f"'limit' must be 1 to {PAGE}.", param="limit")
    found = await store.keys_page(tenant_ids, after, limit + 1)
    return found[:limit], found[limit - 1].key_id if len(found) > limit else None


async def key_named(store: IdentityStore, key_id: str) -> ApiKey:
    """The key of this id. Raises NotFound."""
    key = await store.key(key_id)
    if key is None:
        raise NotFound(f"There is no key '{key_id[:100]}'.")
    return key


async def revoke_key(store: IdentityStore, key_id: str) -> None:
    """For good. Raises NotFound; again is no error."""
    await store.revoke_key(key_id)


async def keys_of_user(store: IdentityStore, user_id: str) -> list[ApiKey]:
    """The keys that a person owns, revoked ones included, sorted by id. A tenant's own are nobody's."""
    return await store.keys_owned(user_id) if user_id else []


async def withdraw_keys_of(store: IdentityStore, user_id: str) -> list[str]:
    """Revoke all keys that a person owns; durable on return. Gives the ids of those that worked until now."""
    revoked = [key.key_id for key in await keys_of_user(store, user_id) if key.active]
    for key_id in revoked:
        await store.revoke_key(key_id)
    return revoked


async def tenant_named(store: IdentityStore, tenant_id: str | None) -> Tenant:
    """The tenant of this id; without one, the only tenant. Raises NotFound; BadRequest when several."""
    if tenant_id is not None:
        found = await store.tenant(tenant_id)
        if found is None:
            raise NotFound(f"There is no tenant '{tenant_id[:100]}'.", param="tenant_id")
        return found
    tenants = await store.tenants()
    if len(tenants) != 1:
        raise BadRequest(f"There are {len(tenants)} tenants. Say which one.", param="tenant_id")
    return tenants[0]


async def models_named(store: CatalogueStore, names: Sequence[str]) -> tuple[str, ...]:
    """The catalogue ids behind ids and aliases; patterns with `*` as they are.

    Raises BadRequest for a name that nothing has, and for what is no pattern.
    """
    return _named(names, await store.models(), "models")


async def _checked(store: KeyStore, clock: Clock, tenant: Tenant, key: ApiKey, before: ApiKey | None = None) -> ApiKey:
    """The key with its terms as they are kept. What was so before may stay so, though it could not be made now."""
    models = await store.models()
    known = () if before is None else (*before.scope.models_allowed, *before.scope.models_denied)
    scope = replace(
        key.scope,
        models_allowed=_named(key.scope.models_allowed, models, "models", known),
        models_denied=_named(key.scope.models_denied, models, "models_denied", known),
        endpoints=tuple(dict.fromkeys(key.scope.endpoints)),
        addresses=_networks(key.scope.addresses),
    )
    _check_words(key)
    if before is None or scope != before.scope:
        _check_reach(tenant, scope, models)
    if before is None or key.ends_unix_ms != before.ends_unix_ms:
        _check_end(key, clock.unix_ms())
    if key.project_id and (before is None or key.project_id != before.project_id):
        await _check_project(store, key)
    return replace(key, scope=scope, tags=tuple(dict.fromkeys(key.tags)))


def _check_words(key: ApiKey) -> None:
    if not 0 < len(key.name) <= NAME_CHARS_MAX or not key.name.isprintable():
        raise BadRequest(f"A key needs a name of 1 to {NAME_CHARS_MAX} printable characters.", param="name")
    if len(key.tags) > TAGS_MAX or not all(0 < len(tag) <= TAG_CHARS_MAX and tag.isprintable() for tag in key.tags):
        raise BadRequest(
            f"A key has at most {TAGS_MAX} tags of 1 to {TAG_CHARS_MAX} printable characters.", param="tags"
        )
    if not key.scope.endpoints:
        raise BadRequest("A key needs at least one endpoint.", param="endpoints")
    if key.schedule is not None:
        for fault in schedule_faults(key.schedule):
            raise BadRequest(fault, param="schedule")


def _check_end(key: ApiKey, now_unix_ms: int) -> None:
    if key.ends_unix_ms is not None and key.ends_unix_ms <= now_unix_ms:
        raise BadRequest("A key cannot end in the past. Revoke it instead.", param="ends_at")


def _named(names: Sequence[str], models: Sequence[Model], param: str, known: Sequence[str] = ()) -> tuple[str, ...]:
    for fault in pattern_faults(names):
        raise BadRequest(fault, param=param)
    ids = {alias: model.id for model in models for alias in model.aliases} | {model.id: model.id for model in models}
    for name in names:
        if "*" not in name and name not in ids and name not in known:
            raise BadRequest(f"The catalogue has no model '{name[:100]}'.", code="model_not_found", param=param)
    return tuple(dict.fromkeys(ids.get(name, name) for name in names))


def _networks(networks: Sequence[str]) -> tuple[str, ...]:
    for fault in network_faults(networks):
        raise BadRequest(f"{fault} Write the first address of the network.", param="addresses")
    return tuple(dict.fromkeys(str(ip_network(network)) for network in networks))


def _check_reach(tenant: Tenant, scope: KeyScope, models: Sequence[Model]) -> None:
    """Raises BadRequest for a part of the scope that the rules of its tenant leave nothing of."""
    for pattern in scope.models_allowed:
        if not _reaches(tenant, pattern, models):
            rules = ", ".join(tenant.models_allowed)[:200]
            raise BadRequest(
                f"The tenant '{tenant.tenant_id}' may not use '{pattern}', so a key of it cannot. "
                f"What it may use: {rules or 'nothing'}.",
                code="beyond_tenant",
                param="models",
            )
    theirs = [ip_network(network) for network in tenant.addresses]
    for network in map(ip_network, scope.addresses):
        if theirs and not any(network.version == one.version and network.overlaps(one) for one in theirs):
            raise BadRequest(
                f"The keys of tenant '{tenant.tenant_id}' may not be used from {network}.",
                code="beyond_tenant",
                param="addresses",
            )


def _reaches(tenant: Tenant, pattern: str, models: Sequence[Model]) -> bool:
    """Whether a model that is there, or one that could come, is allowed by the pattern and by the tenant."""
    for model in models:
        names = (model.id, *model.aliases)
        if names_match(names, (pattern,), ()) and names_match(names, tenant.models_allowed, tenant.models_denied):
            return True
    if "*" not in pattern or within(pattern, tenant.models_denied):
        return False
    return any("*" in allowed and meets(pattern, allowed) for allowed in tenant.models_allowed)


async def _check_project(store: IdentityStore, key: ApiKey) -> None:
    for project in await store.projects():
        if project.project_id == key.project_id and project.tenant_id == key.tenant_id:
            if project.archived:
                raise Conflict(f"The project '{project.project_id}' is archived.", param="project_id")
            return
    raise NotFound(f"There is no project '{key.project_id[:100]}'.", param="project_id")


async def _swapped(store: IdentityStore, before: ApiKey, after: ApiKey) -> bool:
    """Whether it is so now; False when somebody else was faster."""
    if after == before:
        return True
    try:
        await store.swap_key(before, after)
    except Conflict:
        return False
    return True


def _too_busy(key_id: str) -> Conflict:
    return Conflict(f"The key '{key_id[:100]}' is being changed by somebody else. Try again.")
