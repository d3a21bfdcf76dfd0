"""A customer at the console: known by an API key, and shown what that key may see."""

from dataclasses import replace

from parvis.core.clock import Clock
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.key_text import read_key
from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.person import Realm
from parvis.flows.directory import KeysAtHand, SnapshotDirectory
from parvis.flows.ports import Directory, Snapshot
from parvis.flows.store import Store


async def welcome(
    store: Store, pepper: bytes, clock: Clock, credential: str | None, address: str = ""
) -> tuple[ApiKey, Directory]:
    """The key of a credential, and the directory as of now: judged by the same rules as at the gateways.

    Nothing is read for what cannot be a key; for what can, the same whether there is such a key or not. Raises
    NotAuthenticated.
    """
    directory = SnapshotDirectory(clock)
    text = read_key(credential) if credential is not None else None
    if text is not None:
        key = await _key_in_force(store, text.key_id)
        tenants = await store.tenants_in_force([key.tenant_id if key is not None else ""])
        models, prices = tuple(await store.models()), tuple(await store.prices())
        keys = KeysAtHand({key.key_id: key} if key is not None else {})
        known = {tenant.tenant_id: tenant for tenant in tenants}
        directory.load(Snapshot(0, pepper, keys, known, {}, models, prices, ()))
    return directory.admit(credential, address).key, directory


async def _key_in_force(store: Store, key_id: str) -> ApiKey | None:
    """As gateways know it: a key rests with its owner."""
    key = await store.key(key_id)
    owner = await store.people(Realm.CUSTOMER).person(key.owner_id) if key is not None and key.owner_id else None
    resting = owner is not None and owner.standing is not Standing.ACTIVE
    return replace(key, active=False) if key is not None and resting else key
