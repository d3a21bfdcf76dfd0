"""API keys: made, listed, revoked. The secret of a key exists here for as long as it takes to hand it over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from parvis.core.clock import Clock
from parvis.core.errors import BadRequest, NotFound
from parvis.core.ids import Randomness
from parvis.core.secret import Secret
from parvis.domain.catalog.model import Model
from parvis.domain.identity.api_key import ApiKey, KeySecret, secret_digest
from parvis.domain.identity.key_text import new_key, write_key
from parvis.domain.identity.organisation import Tenant
from parvis.domain.identity.scope import ANY_MODEL, KeyScope
from parvis.flows.store import CatalogueStore, IdentityStore

NAME_CHARS_MAX = 100


@dataclass(frozen=True, slots=True)
class Mint:
    """What a key is made with. The pepper stays outside the database."""

    pepper: Callable[[], bytes]
    clock: Clock
    randomness: Randomness


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made. `text` is all of it: shown to its owner once, stored never."""

    key: ApiKey
    text: Secret


async def create_key(
    store: IdentityStore, mint: Mint, tenant: Tenant, name: str, models: Sequence[str] = (ANY_MODEL,)
) -> NewKey:
    """Make a key and keep its digest; durable on return. `models` are catalogue ids, or `*` for all."""
    made = mint_key(mint, tenant, name, models)
    await store.add_key(made.key)
    return made


def mint_key(mint: Mint, tenant: Tenant, name: str, models: Sequence[str]) -> NewKey:
    """A fresh key that nobody knows yet. Raises BadRequest for a name that cannot be printed."""
    if not 0 < len(name) <= NAME_CHARS_MAX or not name.isprintable():
        raise BadRequest(f"A key needs a name of 1 to {NAME_CHARS_MAX} printable characters.", param="name")
    key_id, secret = new_key(mint.randomness)
    digest = secret_digest(mint.pepper(), key_id, secret)
    now = mint.clock.unix_ms()
    secrets = (KeySecret(digest, now),)
    scope = KeyScope(tuple(models))
    key = ApiKey(key_id, tenant.organisation_id, tenant.tenant_id, name, secrets, scope, created_unix_ms=now)
    return NewKey(key, write_key(key_id, secret))


async def list_keys(store: IdentityStore, tenant_id: str | None = None) -> list[ApiKey]:
    """All keys, of one tenant or of all, revoked ones included, sorted by id."""
    return [key for key in await store.keys() if tenant_id in (None, key.tenant_id)]


async def revoke_key(store: IdentityStore, key_id: str) -> None:
    """For good. Raises NotFound; again is no error."""
    await store.revoke_key(key_id)


async def tenant_named(store: IdentityStore, tenant_id: str | None) -> Tenant:
    """The tenant of this id; without one, the only tenant. Raises NotFound; BadRequest when several."""
    tenants = await store.tenants()
    if tenant_id is None and len(tenants) == 1:
        return tenants[0]
    if tenant_id is None:
        raise BadRequest(f"There are {len(tenants)} tenants. Say which one.", param="tenant_id")
    for tenant in tenants:
        if tenant.tenant_id == tenant_id:
            return tenant
    raise NotFound(f"There is no tenant '{tenant_id[:100]}'.", param="tenant_id")


async def models_named(store: CatalogueStore, names: Sequence[str]) -> tuple[str, ...]:
    """The catalogue ids behind ids and aliases, `*` included. Raises BadRequest for a name that nothing has."""
    known = _ids_by_name(await store.models())
    for name in names:
        if name not in known:
            raise BadRequest(f"The catalogue has no model '{name[:100]}'.", code="model_not_found", param="models")
    return tuple(dict.fromkeys(known[name] for name in names))


def _ids_by_name(models: list[Model]) -> dict[str, str]:
    names = {alias: model.id for model in models for alias in model.aliases}
    return {**names, **{model.id: model.id for model in models}, ANY_MODEL: ANY_MODEL}
